#include "accounting/audit/sample_clock.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace taskmem {
namespace {

TEST(SampleClock, WeighsABlockByItsChance) {
  for (const uint64_t interval : {1ull, 4096ull, 524288ull, 1ull << 40}) {
    for (const uint64_t bytes : {1ull, 16ull, 100ull, 4096ull, 131072ull, 1ull << 20, 1ull << 35}) {
      const double chance =
          -std::expm1(-static_cast<double>(bytes) / static_cast<double>(interval));
      EXPECT_NEAR(static_cast<double>(SampleWeight(bytes, interval)),
                  static_cast<double>(bytes) / chance,
                  1 + static_cast<double>(bytes) / chance * 1e-9)
          << bytes << " of " << interval;
      EXPECT_GE(SampleWeight(bytes, interval), bytes);
    }
  }
  EXPECT_EQ(SampleWeight(0, 4096), 4096u);
}

TEST(SampleClock, SamplesOncePerIntervalOnAverage) {
  for (const uint64_t seed : {1u, 20240607u}) {
    SampleClock clock;
    clock.Start(65536, seed);
    uint64_t total = 0;
    double squares = 0;
    constexpr int kSamples = 200'000;
    for (int i = 0; i < kSamples; ++i) {
      const double left = static_cast<double>(clock.left_bytes());
      total += clock.left_bytes();
      squares += left * left;
      clock.Draw();
    }
    const double mean = static_cast<double>(total) / kSamples;
    EXPECT_NEAR(mean, 65536, 65536 * 0.01) << "seed " << seed;
    // An exponential distribution: its deviation is its mean.
    EXPECT_NEAR(std::sqrt(squares / kSamples - mean * mean), 65536, 65536 * 0.02);
  }
}

// Blocks of several sizes in a rhythm: what is sampled stands for what was allocated.
TEST(SampleClock, IsRightOnAverageForEverySize) {
  constexpr uint64_t kSizes[] = {16, 100, 5000, 1 << 20};
  for (const uint64_t seed : {7u, 4711u}) {
    SampleClock clock;
    clock.Start(32768, seed);
    uint64_t estimate[4] = {};
    uint64_t truth[4] = {};
    for (int round = 0; round < 400'000; ++round) {
      for (int i = 0; i < (round % 64 == 0 ? 4 : 3); ++i) {
        truth[i] += kSizes[i];
        if (!clock.Count(kSizes[i])) continue;
        estimate[i] += SampleWeight(kSizes[i], clock.interval_bytes());
        clock.Draw();
      }
    }
    for (int i = 0; i < 4; ++i) {
      const double samples = static_cast<double>(truth[i]) / 32768;
      EXPECT_NEAR(static_cast<double>(estimate[i]) / static_cast<double>(truth[i]), 1,
                  5 / std::sqrt(samples))
          << "size " << kSizes[i] << " seed " << seed;
    }
  }
}

TEST(SampleClock, ThatIsStoppedSamplesNothing) {
  SampleClock clock;
  clock.Stop();
  EXPECT_TRUE(clock.IsStarted());
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(clock.Count(uint64_t{1} << 40));
}

TEST(SampleClock, SlowsDownWhereSamplesCostMuchAndRecovers) {
  SampleClock clock;
  clock.Start(1024, 1);
  uint64_t now = 1'000'000;
  clock.Adapt(now, 1000);
  for (int i = 0; i < 50; ++i) clock.Adapt(now += 5'000, 1000);
  EXPECT_EQ(clock.doublings(), SampleClock::kMostDoublings);
  EXPECT_EQ(clock.interval_bytes(), 1024u << SampleClock::kMostDoublings);
  for (int i = 0; i < 50; ++i) clock.Adapt(now += 30'000, 1000);
  EXPECT_EQ(clock.doublings(), SampleClock::kMostDoublings);
  for (int i = 0; i < 50; ++i) clock.Adapt(now += 10'000'000, 1000);
  EXPECT_EQ(clock.doublings(), 0u);
}

uint64_t g_now_ns;
int g_looks;

TEST(SampleBudget, IsUsedUpByManyAndRenewed) {
  const auto now = [] {
    ++g_looks;
    return g_now_ns;
  };
  SampleBudget budget = {};
  g_looks = 0;
  g_now_ns = uint64_t{1} << 40;
  for (uint32_t i = 0; i < SampleBudget::kSamples; ++i) EXPECT_TRUE(budget.Allows(now));
  EXPECT_EQ(g_looks, 0);
  // It took longer than it must, as from here on the next.
  for (uint32_t i = 0; i < SampleBudget::kSamples; ++i) EXPECT_TRUE(budget.Allows(now));
  for (int i = 0; i < 64'000; ++i) EXPECT_FALSE(budget.Allows(now));
  EXPECT_LE(g_looks, 1002) << "the clock is not asked each time";
  g_now_ns += SampleBudget::kWithinNs - 1;
  for (int i = 0; i < 64; ++i) EXPECT_FALSE(budget.Allows(now));
  g_now_ns += 1;
  uint32_t allowed = 0;
  for (uint32_t i = 0; i < SampleBudget::kSamples + 63; ++i) allowed += budget.Allows(now) ? 1 : 0;
  EXPECT_EQ(allowed, SampleBudget::kSamples);
}

TEST(SampleScale, IsRightOnAverage) {
  EXPECT_EQ(ScaleOf(4096, 4096, 0), 0);
  EXPECT_EQ(TimesOf(0), 1);
  std::mt19937_64 random(4711);
  for (const double times : {1.0, 1.1, 2.0, 8.5, 128.4, 20000.0}) {
    constexpr int kRounds = 100'000;
    double sum = 0;
    for (int i = 0; i < kRounds; ++i) {
      const uint8_t scale = ScaleOf(4096, static_cast<uint64_t>(4096 * times), random());
      ASSERT_LT(scale, 32);
      sum += TimesOf(scale);
    }
    EXPECT_NEAR(sum / kRounds, times, 0.01 * times);
  }
}

}  // namespace
}  // namespace taskmem
