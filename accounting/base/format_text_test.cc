#include "accounting/base/format_text.h"

#include <gtest/gtest.h>

#include <climits>
#include <cstdint>
#include <cstdio>
#include <string>

namespace taskmem {
namespace {

// What libc makes of it, whole and cut.
template <typename... Arguments>
void ExpectAsLibc(const char* format, Arguments... arguments) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{2}, size_t{7}, size_t{200}}) {
    char expected[200] = "untouched";
    char text[200] = "untouched";
    const int expected_length = snprintf(expected, bytes, format, arguments...);
    EXPECT_EQ(FormatText(text, bytes, format, arguments...), expected_length) << format;
    EXPECT_EQ(std::string(text), expected) << format << " in " << bytes;
  }
#pragma GCC diagnostic pop
}

TEST(FormatTextTest, WritesWhatLibcWrites) {
  ExpectAsLibc("no conversion, 100%%");
  ExpectAsLibc("%s and %s", "one", "");
  ExpectAsLibc("%.*s|%.3s|%10s|%-10s|", 2, "text", "text", "text", "text");
  ExpectAsLibc("%c%c", 'a', '\n');
  for (const int value : {0, 1, -1, 9, 10, INT_MAX, INT_MIN}) {
    ExpectAsLibc("%d %u %x %5d %05d %-5d| %i", value, value, value, value, value, value, value);
  }
  for (const long long value : {0LL, -1LL, LLONG_MAX, LLONG_MIN}) {
    ExpectAsLibc("%lld %llu %ld %lu %zu %llx", value, value, value, value, value, value);
  }
  ExpectAsLibc("%016lx %02d:%02d.%03ldZ %*d", 0xabcUL, 3, 14, 7L, 6, -42);
  ExpectAsLibc("%p", reinterpret_cast<void*>(uintptr_t{0x7f0012345678}));
}

TEST(FormatTextTest, AnUnknownConversionEndsTheText) {
  char text[32];
  const char* volatile format = "a %d %q %d";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  FormatText(text, sizeof(text), format, 1, 2);
#pragma GCC diagnostic pop
  EXPECT_STREQ(text, "a 1 %q %d");
}

}  // namespace
}  // namespace taskmem
