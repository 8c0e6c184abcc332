#include "shim/options/value_text.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "shim/options/regex_size.h"

namespace taskmem {
namespace {

uint64_t Bytes(const char* text) {
  uint64_t bytes = 0;
  EXPECT_TRUE(ParseBytes(text, &bytes)) << text;
  return bytes;
}

TEST(ParseBytes, ReadsSizes) {
  EXPECT_EQ(Bytes("0"), 0u);
  EXPECT_EQ(Bytes("4096"), 4096u);
  EXPECT_EQ(Bytes("4096B"), 4096u);
  EXPECT_EQ(Bytes("64K"), 64u << 10);
  EXPECT_EQ(Bytes("64k"), 64u << 10);
  EXPECT_EQ(Bytes("64KB"), 64u << 10);
  EXPECT_EQ(Bytes("256MiB"), 256u << 20);
  EXPECT_EQ(Bytes("1.5G"), uint64_t{3} << 29);
  EXPECT_EQ(Bytes("0.001K"), 1u);
  EXPECT_EQ(Bytes("2T"), uint64_t{2} << 40);
  EXPECT_EQ(Bytes("15E"), uint64_t{15} << 60);
  EXPECT_EQ(Bytes("none"), UINT64_MAX);
}

TEST(ParseBytes, RejectsWhatIsNoSize) {
  for (const char* text :
       {"", " ", "-1", "+1", "K", "1.5", "1.", ".5G", "1.2.3G", "1 K", "64X", "64Ki", "64KiBs",
        "0x10", "16E", "18446744073709551615", "99999999999999999999", "1.0123456789G", "None"}) {
    uint64_t bytes = 7;
    EXPECT_FALSE(ParseBytes(text, &bytes)) << text;
    EXPECT_EQ(bytes, 7u) << text;
  }
}

TEST(ParseDuration, KnowsItsUnits) {
  const std::pair<const char*, int64_t> kGood[] = {{"0", 0},
                                                   {"0s", 0},
                                                   {"7ns", 7},
                                                   {"20us", 20'000},
                                                   {"250ms", 250'000'000},
                                                   {"1s", 1'000'000'000},
                                                   {"2m", 120'000'000'000}};
  for (const auto& [text, expected] : kGood) {
    int64_t ns = -1;
    EXPECT_TRUE(ParseDuration(text, &ns)) << text;
    EXPECT_EQ(ns, expected) << text;
  }
  for (const char* text : {"", "s", "1", "1.5s", " 1s", "1 s", "1S", "0x1s"}) {
    int64_t ns = -1;
    EXPECT_FALSE(ParseDuration(text, &ns)) << text;
    EXPECT_EQ(ns, -1);
  }
}

TEST(ParseDigits, LeavesTheTextBehindTheNumber) {
  const char* text = "18446744073709551615x";
  uint64_t number = 0;
  ASSERT_TRUE(ParseDigits(&text, &number));
  EXPECT_EQ(number, UINT64_MAX);
  EXPECT_STREQ(text, "x");
  EXPECT_FALSE(ParseDigits(&text, &number));
  const char* too_large = "18446744073709551616";
  EXPECT_FALSE(ParseDigits(&too_large, &number));
}

TEST(CopyText, TakesWhatFitsWithItsEnd) {
  char small[4] = "";
  EXPECT_TRUE(CopyText("abc", small));
  EXPECT_STREQ(small, "abc");
  EXPECT_FALSE(CopyText("abcd", small));
  EXPECT_STREQ(small, "abc");
}

// regcomp writes out what is repeated, at some 2 KiB for each part.
TEST(IsExtendedRegex, RefusesRepetitionsOfRepetitions) {
  EXPECT_TRUE(IsExtendedRegex("Executor task launch worker for task ([0-9]+)"));
  EXPECT_TRUE(IsExtendedRegex("a{1000}"));
  EXPECT_TRUE(IsExtendedRegex("[]{}*+?]\\{x"));
  EXPECT_FALSE(IsExtendedRegex("(((a{200}){200}){200})"));
  EXPECT_FALSE(IsExtendedRegex("((a{255}){255}){255}{255}{255}"));
  EXPECT_FALSE(IsExtendedRegex("("));
}

}  // namespace
}  // namespace taskmem
