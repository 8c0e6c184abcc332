#include "spill/reclaim/limit_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace taskmem {
namespace {

constexpr uint64_t kLarge = 1 << 20;

// Requests `bytes` `times` times; all must be refused.
void ExpectRefusals(const LimitPolicy& policy, uint64_t bytes, uint64_t times,
                    RefusalStreak& streak) {
  for (uint64_t i = 0; i < times; ++i) {
    EXPECT_EQ(policy.Decide(bytes, false, streak), LimitAction::kRefuse) << i;
  }
}

TEST(LimitPolicy, RefusesFromTheSmallestSizeOn) {
  LimitPolicy policy;
  policy.refuse_min_bytes = 1000;
  RefusalStreak streak;
  EXPECT_EQ(policy.Decide(1000, false, streak), LimitAction::kRefuse);
  EXPECT_EQ(policy.Decide(UINT64_MAX, false, streak), LimitAction::kRefuse);
  EXPECT_EQ(policy.Decide(999, false, streak), LimitAction::kOverdraw);
  EXPECT_EQ(policy.Decide(0, false, streak), LimitAction::kOverdraw);
  policy.refuse_min_bytes = 0;
  EXPECT_EQ(policy.Decide(0, false, streak), LimitAction::kRefuse);
}

TEST(LimitPolicy, OverdrawLetsEverythingThrough) {
  LimitPolicy policy;
  policy.at_limit = AtLimit::kOverdraw;
  policy.at_budget = AtBudget::kKill;
  policy.refusal_budget = 0;
  RefusalStreak streak;
  EXPECT_EQ(policy.Decide(1, false, streak), LimitAction::kOverdraw);
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
}

TEST(LimitPolicy, KillSparesNoSize) {
  LimitPolicy policy;
  policy.at_limit = AtLimit::kKill;
  RefusalStreak streak;
  EXPECT_EQ(policy.Decide(1, false, streak), LimitAction::kKill);
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kKill);
}

TEST(LimitPolicy, TheExemptAreNeverRefused) {
  for (const AtLimit at_limit : {AtLimit::kRefuse, AtLimit::kOverdraw, AtLimit::kKill}) {
    LimitPolicy policy;
    policy.at_limit = at_limit;
    policy.at_budget = AtBudget::kKill;
    policy.refusal_budget = 0;
    RefusalStreak streak;
    EXPECT_EQ(policy.Decide(1, true, streak), LimitAction::kOverdraw);
    EXPECT_EQ(policy.Decide(kLarge, true, streak), LimitAction::kOverdraw);
    EXPECT_TRUE(streak.IsEmpty());
  }
}

TEST(LimitPolicy, GivesInOnceTheBudgetIsSpentAndStartsAnew) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  RefusalStreak streak;
  for (int round = 0; round < 2; ++round) {
    ExpectRefusals(policy, kLarge, 3, streak);
    EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
  }
}

TEST(LimitPolicy, MayKillOnceTheBudgetIsSpent) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  policy.at_budget = AtBudget::kKill;
  RefusalStreak streak;
  ExpectRefusals(policy, kLarge, 3, streak);
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kKill);
}

TEST(LimitPolicy, ABudgetOfNothingRefusesNothing) {
  LimitPolicy policy;
  policy.refusal_budget = 0;
  RefusalStreak streak;
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
}

TEST(LimitPolicy, ASuccessOfTheSizeEndsTheStreak) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  for (const uint64_t success : {kLarge, kLarge + 1}) {
    RefusalStreak streak;
    ExpectRefusals(policy, kLarge, 3, streak);
    streak.NoteSuccess(success);
    ExpectRefusals(policy, kLarge, 3, streak);
  }
}

TEST(LimitPolicy, ASmallerSuccessDoesNot) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  RefusalStreak streak;
  ExpectRefusals(policy, kLarge, 3, streak);
  streak.NoteSuccess(kLarge - 1);
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
}

// What programs retry with: each sequence spends a budget of ten in ten refusals.
TEST(LimitPolicy, TheBudgetIsNotDodgedByOtherSizes) {
  LimitPolicy policy;
  policy.refusal_budget = 10;
  const auto spend = [&policy](auto size_of) {
    RefusalStreak streak;
    for (uint64_t i = 0; i < 10; ++i) {
      EXPECT_EQ(policy.Decide(size_of(i), false, streak), LimitAction::kRefuse) << i;
    }
    EXPECT_EQ(policy.Decide(size_of(10), false, streak), LimitAction::kOverdraw);
    EXPECT_TRUE(streak.IsEmpty());
  };
  spend([](uint64_t i) { return i % 2 == 0 ? kLarge : kLarge + 4096; });
  spend([](uint64_t i) { return kLarge + i % 3 * kLarge; });
  spend([](uint64_t i) { return 100 * kLarge - i * 4096; });
  spend([](uint64_t i) { return kLarge + i; });
  spend([](uint64_t i) { return kLarge << (10 - i); });
}

TEST(LimitPolicy, NorBySuccessesOfLess) {
  LimitPolicy policy;
  policy.refusal_budget = 10;
  RefusalStreak streak;
  for (uint64_t i = 0; i < 10; ++i) {
    const uint64_t bytes = kLarge + i % 2;
    EXPECT_EQ(policy.Decide(bytes, false, streak), LimitAction::kRefuse) << i;
    streak.NoteSuccess(kLarge - 1);
    streak.NoteSuccess(1);
  }
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
}

TEST(LimitPolicy, AProgramThatGetsOnIsNeverLetThrough) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  RefusalStreak streak;
  for (int i = 0; i < 100; ++i) {
    ExpectRefusals(policy, kLarge, 2, streak);
    streak.NoteSuccess(kLarge);
  }
  // What was refused and then given says nothing about a larger request.
  ExpectRefusals(policy, 1000 * kLarge, 3, streak);
}

TEST(RefusalStreak, ASuccessEndsWhatItCovers) {
  RefusalStreak streak;
  for (const uint64_t bytes : {50, 10, 30, 10, 20, 40}) streak.NoteRefusal(bytes);
  EXPECT_EQ(streak.Refusals(1), 6u);
  EXPECT_EQ(streak.Refusals(100), 6u);
  streak.NoteSuccess(9);
  EXPECT_EQ(streak.Refusals(9), 0u);
  EXPECT_EQ(streak.Refusals(10), 6u);
  streak.NoteSuccess(25);
  EXPECT_EQ(streak.Refusals(25), 0u);
  EXPECT_EQ(streak.Refusals(26), 3u);
  streak.NoteRefusal(10);
  EXPECT_EQ(streak.Refusals(10), 1u);
  EXPECT_EQ(streak.Refusals(26), 4u);
  streak.NoteSuccess(40);
  EXPECT_EQ(streak.Refusals(40), 0u);
  EXPECT_EQ(streak.Refusals(100), 1u);
  streak.NoteSuccess(50);
  EXPECT_TRUE(streak.IsEmpty());
}

TEST(RefusalStreak, ManySizesLoseNoRefusal) {
  RefusalStreak streak;
  for (uint64_t i = 0; i < 1000; ++i) {
    streak.NoteRefusal(kLarge + i * 7919 % 1000 * 4096);
    streak.NoteSuccess(i * 104729 % kLarge);
  }
  EXPECT_EQ(streak.Refusals(kLarge), 1000u);
  streak.NoteSuccess(kLarge + 999 * 4096);
  EXPECT_TRUE(streak.IsEmpty());
}

// As the rule says, refusal by refusal.
TEST(RefusalStreak, IsTheRuleWhereSizesAreFew) {
  struct Refusal {
    uint64_t bytes;
    uint64_t given;
  };
  std::mt19937_64 random(20240607);
  for (int round = 0; round < 200; ++round) {
    RefusalStreak streak;
    std::vector<Refusal> refusals;
    for (int step = 0; step < 200; ++step) {
      const uint64_t bytes = 1 + random() % 3;
      if (random() % 2 == 0) {
        streak.NoteRefusal(bytes);
        refusals.push_back({bytes, 0});
      } else {
        streak.NoteSuccess(bytes);
        for (Refusal& refusal : refusals) refusal.given = std::max(refusal.given, bytes);
      }
      for (uint64_t asked = 1; asked <= 4; ++asked) {
        const auto counts = std::count_if(refusals.begin(), refusals.end(), [=](const Refusal& r) {
          return r.given < std::min(asked, r.bytes);
        });
        ASSERT_EQ(streak.Refusals(asked), static_cast<uint64_t>(counts)) << round << " " << step;
      }
    }
  }
}

TEST(RefusalStreak, IsLoggedAtEachDoubling) {
  int lines = 0;
  for (uint64_t i = 1; i <= 1000; ++i) lines += IsDoubling(i);
  EXPECT_EQ(lines, 10);
}

TEST(LimitPolicy, WhatIsLetThroughForItsSizeLeavesTheStreak) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  RefusalStreak streak;
  ExpectRefusals(policy, kLarge, 2, streak);
  EXPECT_EQ(policy.Decide(1, false, streak), LimitAction::kOverdraw);
  ExpectRefusals(policy, kLarge, 1, streak);
  EXPECT_EQ(policy.Decide(kLarge, false, streak), LimitAction::kOverdraw);
}

}  // namespace
}  // namespace taskmem
