#include "spill/limit_policy.h"

#include <gtest/gtest.h>

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
    EXPECT_EQ(streak.refusals, 0u);
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

TEST(LimitPolicy, AnotherSizeStartsAnotherStreak) {
  LimitPolicy policy;
  policy.refusal_budget = 3;
  RefusalStreak streak;
  ExpectRefusals(policy, kLarge, 3, streak);
  ExpectRefusals(policy, kLarge + 1, 3, streak);
  EXPECT_EQ(policy.Decide(kLarge + 1, false, streak), LimitAction::kOverdraw);
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
