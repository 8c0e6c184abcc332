#include "shim/options/value_text.h"

#include <strings.h>

namespace taskmem {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "", "B", "K", "KB", "KiB" and so on, in either case. False for anything else.
bool ParseUnit(const char* text, uint64_t* unit) {
  constexpr char kUnits[] = "KMGTPE";
  *unit = 1;
  const char upper = static_cast<char>(*text & ~0x20);
  const char* at = *text != '\0' ? strchr(kUnits, upper) : nullptr;
  if (at != nullptr && *at != '\0') {
    *unit = uint64_t{1} << (10 * (at - kUnits + 1));
    ++text;
    if (strcasecmp(text, "iB") == 0) return true;
  }
  return *text == '\0' || strcasecmp(text, "B") == 0;
}

}  // namespace

bool ParseDigits(const char** text, uint64_t* number) {
  if (!IsDigit(**text)) return false;
  uint64_t result = 0;
  for (; IsDigit(**text); ++*text) {
    if (__builtin_mul_overflow(result, uint64_t{10}, &result) ||
        __builtin_add_overflow(result, static_cast<uint64_t>(**text - '0'), &result)) {
      return false;
    }
  }
  *number = result;
  return true;
}

bool ParseBytes(const char* text, uint64_t* bytes) {
  if (strcmp(text, "none") == 0) {
    *bytes = UINT64_MAX;
    return true;
  }
  uint64_t whole;
  if (!ParseDigits(&text, &whole)) return false;
  uint64_t fraction = 0;
  uint64_t fraction_unit = 1;
  if (*text == '.') {
    const char* start = ++text;
    if (!ParseDigits(&text, &fraction) || text - start > 9) return false;
    for (; start < text; ++start) fraction_unit *= 10;
  }
  uint64_t unit;
  if (!ParseUnit(text, &unit)) return false;
  // Half a byte is a slip of the pen.
  if (unit == 1 && fraction_unit != 1) return false;
  using Wide = unsigned __int128;
  const Wide result = Wide{whole} * unit + Wide{fraction} * unit / fraction_unit;
  if (result >= UINT64_MAX) return false;
  *bytes = static_cast<uint64_t>(result);
  return true;
}

bool ParseDuration(const char* text, int64_t* ns) {
  uint64_t whole;
  if (!ParseDigits(&text, &whole)) return false;
  constexpr Choice<uint64_t> kUnits[] = {
      {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}};
  uint64_t unit = 1;
  if (!ParseChoice(text, kUnits, &unit) && (whole != 0 || *text != '\0')) return false;
  uint64_t result;
  if (__builtin_mul_overflow(whole, unit, &result) || result > INT64_MAX) return false;
  *ns = static_cast<int64_t>(result);
  return true;
}

}  // namespace taskmem
