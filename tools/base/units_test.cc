#include "tools/base/units.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

TEST(HumanBytes, HasOneDecimal) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(64 << 20), "64.0 MiB");
  EXPECT_EQ(HumanBytes((1 << 20) - 1), "1.0 MiB") << "not 1024.0 KiB";
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16.0 EiB");
}

TEST(Printable, CutsAtCharacters) {
  EXPECT_EQ(Printable("", 4), "");
  EXPECT_EQ(Printable("four", 4), "four");
  EXPECT_EQ(Printable("five5", 4), "fiv…");
  EXPECT_EQ(Printable("äöüß", 4), "äöüß");
  EXPECT_EQ(Printable("äöüßä", 4), "äöü…");
}

TEST(Printable, HidesControlCharacters) { EXPECT_EQ(Printable("a\n\x1b[0m", 9), "a??[0m"); }

TEST(Printable, HasNoControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[31mb\x7f\n"), "a?[31mb??");
  // C1, as UTF-8 and as single bytes.
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "31m\xc2\x80\xc2\x9f\xc2\xa0"),
            "a?31m??\xc2\xa0");
  EXPECT_EQ(Printable("a\x9b"
                      "31m"),
            "a?31m");
  // What turns the direction of a text.
  EXPECT_EQ(Printable("a\xe2\x80\xae"
                      "b"),
            "a?b");
}

TEST(Printable, IsUtf8) {
  const char* const text = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  EXPECT_EQ(Printable(text), text);
  EXPECT_EQ(Printable("\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82"), "????????????");
}

}  // namespace
}  // namespace taskmem
