#include "accounting/base/size_text.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace taskmem {
namespace {

constexpr int64_t kKiB = 1024;
constexpr int64_t kEiB = int64_t{1} << 60;

std::string Text(int64_t bytes) { return SizeText(bytes).c_str(); }

TEST(SizeText, UsesAUnitFromTwoOfIt) {
  EXPECT_EQ(Text(0), "0.0 B");
  EXPECT_EQ(Text(7), "7.0 B");
  EXPECT_EQ(Text(2047), "2047.0 B");
  EXPECT_EQ(Text(2048), "2.0 KiB");
  EXPECT_EQ(Text(1048576), "1024.0 KiB");
  EXPECT_EQ(Text(2 * kKiB * kKiB - 1), "2048.0 KiB");
  EXPECT_EQ(Text(2 * kKiB * kKiB), "2.0 MiB");
  EXPECT_EQ(Text(4194304), "4.0 MiB");
}

TEST(SizeText, HasEveryUnit) {
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  for (int i = 0; i < 6; ++i) {
    const int64_t unit = int64_t{1} << (10 * (i + 1));
    EXPECT_EQ(Text(3 * unit), std::string("3.0 ") + units[i]);
    EXPECT_EQ(Text(2 * unit - 1).find(units[i]), std::string::npos);
  }
}

TEST(SizeText, RoundsHalfUp) {
  EXPECT_EQ(Text(2303), "2.2 KiB");
  EXPECT_EQ(Text(2304), "2.3 KiB");  // 2.25
  EXPECT_EQ(Text(2815), "2.7 KiB");
  EXPECT_EQ(Text(2816), "2.8 KiB");  // 2.75
  EXPECT_EQ(Text(3020), "2.9 KiB");
  EXPECT_EQ(Text(3021), "3.0 KiB");
}

// Too close to one half for a double to tell.
TEST(SizeText, RoundsWhatADoubleCannotHold) {
  EXPECT_EQ(Text(2 * kEiB + kEiB / 4 - 1), "2.2 EiB");
  EXPECT_EQ(Text(2 * kEiB + kEiB / 4), "2.3 EiB");
  EXPECT_EQ(Text(6 * kEiB + kEiB / 4 * 3 - 1), "6.7 EiB");
  EXPECT_EQ(Text(6 * kEiB + kEiB / 4 * 3), "6.8 EiB");
}

TEST(SizeText, GoesToTheEndsOfTheRange) {
  EXPECT_EQ(Text(INT64_MAX), "8.0 EiB");
  EXPECT_EQ(Text(INT64_MIN), "-9223372036854775808.0 B");
}

TEST(SizeText, WritesNegativeSizesInBytes) {
  EXPECT_EQ(Text(-1), "-1.0 B");
  EXPECT_EQ(Text(-5000), "-5000.0 B");
}

// Against the definition, in integers of twice the width.
TEST(SizeText, IsTheNearestTenth) {
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100'000; ++i) {
    const int64_t bytes = static_cast<int64_t>(random() >> (1 + random() % 63));
    int unit = 0;
    while (unit < 6 && (bytes >> (10 * (unit + 1))) >= 2) ++unit;
    const __int128 one = __int128{1} << (10 * unit);
    const auto tenths = static_cast<int64_t>((__int128{bytes} * 20 + one) / (2 * one));
    const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const std::string expected =
        std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " " + units[unit];
    ASSERT_EQ(Text(bytes), expected) << bytes << ", seed " << seed;
  }
}

TEST(OwnSizeText, HasAUnitFromOneOfIt) {
  const auto text = [](uint64_t bytes) { return std::string(OwnSizeText(bytes).c_str()); };
  EXPECT_EQ(text(0), "0 B");
  EXPECT_EQ(text(1023), "1023 B");
  EXPECT_EQ(text(1024), "1.0 KiB");
  EXPECT_EQ(text((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(text(1 << 30), "1.0 GiB");
  EXPECT_EQ(text(uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(text(uint64_t{1} << 40), "1.0 TiB");
  EXPECT_EQ(text(UINT64_MAX), "16.0 EiB");
}

TEST(OwnSizeText, RoundsAsPrintf) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    // Of these a double has every bit.
    const uint64_t bytes = random() >> (11 + random() % 43);
    if (bytes < 1024) continue;
    double value = static_cast<double>(bytes) / 1024;
    int unit = 0;
    for (; value >= 1023.95; ++unit) value /= 1024;
    char expected[32];
    snprintf(expected, sizeof(expected), "%.1f %ciB", value, "KMGTPE"[unit]);
    ASSERT_STREQ(OwnSizeText(bytes).c_str(), expected) << bytes;
  }
}

}  // namespace
}  // namespace taskmem
