#include "spill/reclaim/reclaim.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace taskmem {
namespace {

// Gives what the test says, step by step, and keeps what it was asked.
struct Host final : ReclaimHost {
  std::string asked;
  bool may_collect = true;
  bool may_evict = true;
  bool may_spill = true;
  bool may_overflow = true;
  bool may_wait = true;
  std::vector<uint64_t> evicts;  // the answers, in order; 0 after the last
  std::vector<uint64_t> spills;
  uint64_t overflow = 0;
  uint64_t waited = 0;
  int tries_until_served = 1000;

  bool TryAgain() override {
    asked += "t";
    return --tries_until_served <= 0;
  }
  bool MayCollect(CollectFrom) override { return may_collect; }
  uint64_t Collect(CollectFrom from) override {
    asked += "123"[static_cast<int>(from)];
    return 10;
  }
  bool MayEvict() override { return may_evict; }
  uint64_t EvictBlocks() override { return asked += "e", Next(evicts); }
  bool MaySpill() override { return may_spill; }
  uint64_t SpillConsumers() override { return asked += "s", Next(spills); }
  bool MayOverflow() override { return may_overflow; }
  uint64_t TakeFromOverflow() override { return asked += "o", overflow; }
  bool MayWait() override { return may_wait; }
  uint64_t WaitForMemory() override { return asked += "w", waited; }

 private:
  static uint64_t Next(std::vector<uint64_t>& answers) {
    if (answers.empty()) return 0;
    const uint64_t answer = answers.front();
    answers.erase(answers.begin());
    return answer;
  }
};

std::string Describe(const ReclaimReport& report) {
  char text[200];
  report.Describe(text, sizeof(text));
  return text;
}

TEST(Reclaim, TriesEveryStepInOrder) {
  Host host;
  ReclaimReport report;
  EXPECT_FALSE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "1t2t3tesow");
  EXPECT_EQ(Describe(report), "tried: collect 30 B, evict 0 B, spill 0 B, overflow 0 B, wait 0 B");
}

TEST(Reclaim, EndsWithTheFirstStepThatHelps) {
  Host host;
  host.tries_until_served = 2;
  ReclaimReport report;
  EXPECT_TRUE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "1t2t");
}

TEST(Reclaim, EvictsBeforeItSpills) {
  Host host;
  host.may_collect = false;
  host.evicts = {100};
  host.tries_until_served = 1;
  ReclaimReport report;
  EXPECT_TRUE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "et");
  EXPECT_EQ(report[ReclaimStep::kEvict].bytes, 100u);
}

TEST(Reclaim, AsksAgainWhereOthersTookTheGain) {
  Host host;
  host.may_collect = false;
  host.evicts = {0, 0, 5};
  host.spills = {100, 100};
  host.tries_until_served = 3;
  ReclaimReport report;
  EXPECT_TRUE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "estestet");
  EXPECT_EQ(report[ReclaimStep::kSpill].bytes, 200u);
}

TEST(Reclaim, EndsThoughSomethingIsFreedForEver) {
  Host host;
  host.may_collect = host.may_evict = host.may_overflow = host.may_wait = false;
  host.spills.assign(1000, 1);
  ReclaimReport report;
  EXPECT_FALSE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "stststststststststststststststst");
}

TEST(Reclaim, ServesFromOverflowWithoutAnotherTry) {
  Host host;
  host.may_collect = false;
  host.overflow = 4096;
  ReclaimReport report;
  EXPECT_TRUE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "eso");
}

TEST(Reclaim, WaitsLast) {
  Host host;
  host.may_collect = host.may_overflow = false;
  host.waited = 4096;
  host.tries_until_served = 1;
  ReclaimReport report;
  EXPECT_TRUE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "eswt");
}

TEST(Reclaim, WhatMayNotBeTriedIsNotNamed) {
  Host host;
  host.may_collect = host.may_evict = host.may_spill = host.may_overflow = host.may_wait = false;
  ReclaimReport report;
  EXPECT_FALSE(Reclaim(host, &report));
  EXPECT_EQ(host.asked, "");
  EXPECT_EQ(Describe(report), "nothing could be tried");
}

TEST(ReclaimReport, IsCutWhereItDoesNotFit) {
  ReclaimReport report;
  for (auto& step : report.steps) step = {true, UINT64_MAX >> 1};
  char text[20];
  report.Describe(text, sizeof(text));
  EXPECT_EQ(std::string(text), "tried: collect 8.0 ");
}

}  // namespace
}  // namespace taskmem
