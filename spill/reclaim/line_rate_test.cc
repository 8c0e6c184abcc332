#include "spill/reclaim/line_rate.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

int LinesAt(LineRate& rate, uint64_t now_ns, int asked) {
  int allowed = 0;
  for (int i = 0; i < asked; ++i) allowed += rate.Allows(now_ns);
  return allowed;
}

TEST(LineRate, LetsABurstThroughAndThenOneInEachInterval) {
  LineRate rate(100, kSecond);
  const uint64_t start = 5 * kSecond;
  EXPECT_EQ(LinesAt(rate, start, 1000), 100);
  EXPECT_EQ(LinesAt(rate, start + kSecond - 1, 1000), 0);
  EXPECT_EQ(LinesAt(rate, start + kSecond, 1000), 1);
  EXPECT_EQ(LinesAt(rate, start + 4 * kSecond, 1000), 3);
}

TEST(LineRate, RestGivesTheBurstBackAndNoMore) {
  LineRate rate(10, kSecond);
  EXPECT_EQ(LinesAt(rate, kSecond, 20), 10);
  EXPECT_EQ(LinesAt(rate, 1000 * kSecond, 20), 10);
}

TEST(LineRate, WorksFromTheFirstMomentOfAClock) {
  LineRate rate(1, kSecond);
  EXPECT_TRUE(rate.Allows(0));
  EXPECT_FALSE(rate.Allows(0));
  EXPECT_TRUE(rate.Allows(kSecond));
}

}  // namespace
}  // namespace taskmem
