#include "tools/units.h"

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

}  // namespace
}  // namespace taskmem
