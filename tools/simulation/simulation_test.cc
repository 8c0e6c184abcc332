#include "tools/simulation/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "accounting/tasks/task_book.h"

namespace taskmem {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Recordings as they are read.
class SimulationTest : public ::testing::Test {
 protected:
  RecordedTask& AddTask(uint64_t quota = UINT64_MAX) {
    RecordedTask& task = recording_.tasks.emplace_back();
    task.slot = kFirstTaskSlot + static_cast<uint32_t>(recording_.tasks.size()) - 1;
    task.id = recording_.tasks.size();
    task.quota.push_back({0, quota});
    return task;
  }
  RecordedTask& AddNone(uint32_t slot) {
    RecordedTask& task = AddTask();
    task.slot = slot;
    task.id.reset();
    task.flags = kTaskIsNone;
    return task;
  }
  static void Hold(RecordedTask* task, int64_t us, uint64_t bytes) {
    task->charged.push_back({us, bytes});
    task->peak_bytes = std::max(task->peak_bytes, bytes);
  }
  void Refuse(size_t task, int64_t us, uint64_t bytes, uint64_t held, uint64_t limit) {
    RecordedEvent event;
    event.us = us;
    event.kind = EventKind::kRefusal;
    event.task = task;
    event.bytes = bytes;
    event.held = held;
    event.limit = limit;
    event.flags = kEventByQuota;
    recording_.events.push_back(event);
  }
  SimulationResult WithQuota(uint64_t quota) {
    SimulatedLimits limits;
    limits.quota_bytes = quota;
    return Simulate(limits);
  }
  SimulationResult Simulate(const SimulatedLimits& limits) const {
    return Simulator(recording_).Run(limits);
  }
  std::optional<uint64_t> FindQuota() const { return Simulator(recording_).FindQuota({}, kMiB); }

  Recording recording_;
};

TEST_F(SimulationTest, NothingIsShortWithoutALimit) {
  RecordedTask& task = AddTask();
  Hold(&task, 100, 500 * kMiB);
  Hold(&task, 200, 0);
  const SimulationResult result = Simulate({});
  EXPECT_FALSE(result.first);
  EXPECT_EQ(result.peak_held_bytes, 500 * kMiB);
  EXPECT_EQ(result.held.back().value, 0u);
}

TEST_F(SimulationTest, TheFirstThatPassesTheQuotaIsFound) {
  RecordedTask& task = AddTask();
  for (int i = 1; i <= 100; ++i) Hold(&task, i * 1000, static_cast<uint64_t>(i) * kMiB);
  const SimulationResult result = WithQuota(50 * kMiB);
  ASSERT_TRUE(result.first);
  EXPECT_EQ(result.first->us, 51'000);
  EXPECT_TRUE(result.first->by_quota);
  EXPECT_EQ(result.first->end, ShortEnd::kRefused);
  EXPECT_EQ(result.times, 50u);
  EXPECT_EQ(result.refused_bytes, 50 * kMiB);
  EXPECT_EQ(result.peak_held_bytes, 50 * kMiB);
  EXPECT_FALSE(WithQuota(100 * kMiB).first);
}

TEST_F(SimulationTest, WhatIsShortIsGivenBackFirst) {
  RecordedTask& task = AddTask();
  Hold(&task, 1000, 80 * kMiB);
  Hold(&task, 2000, 60 * kMiB);  // 20 of the 30 that found no room
  Hold(&task, 3000, 10 * kMiB);
  const SimulationResult result = WithQuota(50 * kMiB);
  EXPECT_EQ(result.times, 1u);
  EXPECT_EQ(result.held.back().value, 10 * kMiB);
}

TEST_F(SimulationTest, APeakBetweenTwoLooksCounts) {
  RecordedTask& task = AddTask();
  Hold(&task, 1000, 10 * kMiB);
  task.changes.push_back({2000, Counter::kPeak, 70 * kMiB, 10 * kMiB});
  task.counters[static_cast<size_t>(Counter::kPeak)] = 70 * kMiB;
  task.peak_bytes = 70 * kMiB;
  Hold(&task, 2000, 12 * kMiB);
  const SimulationResult result = WithQuota(50 * kMiB);
  ASSERT_TRUE(result.first);
  EXPECT_EQ(result.first->us, 2000);
  EXPECT_EQ(result.held.back().value, 12 * kMiB);
  EXPECT_EQ(FindQuota(), 70 * kMiB);
}

TEST_F(SimulationTest, RefusedRequestsAreMadeAgain) {
  RecordedTask& task = AddTask(64 * kMiB);
  Hold(&task, 1000, 40 * kMiB);
  Refuse(0, 1500, 30 * kMiB, 40 * kMiB, 64 * kMiB);
  Refuse(0, 1600, 50 * kMiB, 40 * kMiB, 64 * kMiB);
  const SimulationResult then = Simulate({});
  ASSERT_TRUE(then.first_refusal);
  EXPECT_EQ(then.first_refusal->us, 1500);
  EXPECT_EQ(then.first_refusal->needed_bytes, 30 * kMiB);
  EXPECT_EQ(then.times, 2u);
  EXPECT_EQ(WithQuota(70 * kMiB).times, 1u);
  EXPECT_FALSE(WithQuota(90 * kMiB).first);
  EXPECT_EQ(FindQuota(), 90 * kMiB);
}

// Policy let it through then: requests too small to be refused.
TEST_F(SimulationTest, WhatWasOverdrawnIsAgain) {
  RecordedTask& task = AddTask(10 * kMiB);
  Hold(&task, 1000, 10 * kMiB);
  Hold(&task, 2000, 12 * kMiB);
  const SimulationResult result = Simulate({});
  EXPECT_FALSE(result.first);
  EXPECT_EQ(result.peak_held_bytes, 12 * kMiB);
}

TEST_F(SimulationTest, TasksShareMemory) {
  Hold(&AddTask(), 1000, 40 * kMiB);
  Hold(&AddTask(), 2000, 40 * kMiB);
  Hold(&AddTask(), 3000, 40 * kMiB);
  SimulatedLimits limits;
  limits.memory_bytes = 100 * kMiB;
  const SimulationResult result = Simulate(limits);
  ASSERT_TRUE(result.first);
  EXPECT_EQ(result.first->task, 2u);
  EXPECT_FALSE(result.first->by_quota);
  limits.memory_bytes = 128 * kMiB;
  EXPECT_FALSE(Simulate(limits).first);
  // Of three active tasks each gets a third.
  limits.sharing = Sharing::kSpark;
  limits.memory_bytes = 130 * kMiB;
  EXPECT_FALSE(Simulate(limits).first);
  limits.memory_bytes = 105 * kMiB;
  EXPECT_TRUE(Simulate(limits).first);
}

TEST_F(SimulationTest, CachedBlocksMakeRoom) {
  RecordedTask& storage = AddNone(kStorageSlot);
  Hold(&storage, 500, 60 * kMiB);
  Hold(&AddTask(), 1000, 60 * kMiB);
  SimulatedLimits limits;
  limits.memory_bytes = 100 * kMiB;
  limits.storage_fraction = 0.1;
  const SimulationResult result = Simulate(limits);
  EXPECT_FALSE(result.first);
  EXPECT_GE(result.evicted_bytes, 20 * kMiB);
  EXPECT_LE(result.evicted_bytes, 24 * kMiB);
  // What the storage keeps against tasks.
  limits.storage_fraction = 0.6;
  EXPECT_TRUE(Simulate(limits).first);
}

TEST_F(SimulationTest, MemoryOfNoTaskTakesRoom) {
  Hold(&AddNone(kUntrackedSlot), 500, 70 * kMiB);
  Hold(&AddTask(), 1000, 40 * kMiB);
  SimulatedLimits limits;
  limits.memory_bytes = 100 * kMiB;
  EXPECT_TRUE(Simulate(limits).first);
}

TEST_F(SimulationTest, HooksSpillAtTheRateOfThen) {
  RecordedTask& task = AddTask();
  Hold(&task, 1000, 80 * kMiB);
  task.counters[static_cast<size_t>(Counter::kSpillFreed)] = 10 * kMiB;
  task.counters[static_cast<size_t>(Counter::kStallNs)] = 1'000'000;
  const SimulationResult result = WithQuota(50 * kMiB);
  ASSERT_TRUE(result.first);
  EXPECT_EQ(result.first->end, ShortEnd::kSpilled);
  EXPECT_FALSE(result.first_refusal);
  EXPECT_EQ(result.spilled_bytes, 30 * kMiB);
  ASSERT_TRUE(result.stall_ns);
  EXPECT_EQ(*result.stall_ns, 3'000'000u);
}

TEST_F(SimulationTest, OverflowTakesWhatDoesNotFit) {
  recording_.settings["overflow"] = "1";
  RecordedTask& task = AddTask();
  Hold(&task, 1000, 80 * kMiB);
  Hold(&task, 2000, 0);
  Hold(&task, 3000, 60 * kMiB);
  const SimulationResult result = WithQuota(50 * kMiB);
  EXPECT_EQ(result.overflow_bytes, 30 * kMiB);
  EXPECT_FALSE(result.first_refusal);
}

// What a task with hooks was short of is nothing in the file.
TEST_F(SimulationTest, WhoSpillsLeavesTheOverflowAlone) {
  recording_.settings["overflow"] = "1";
  RecordedTask& spills = AddTask();
  Hold(&spills, 1000, 80 * kMiB);
  spills.counters[static_cast<size_t>(Counter::kSpillFreed)] = 10 * kMiB;
  spills.end_us = 2000;
  spills.gone_us = 2000;
  RecordedTask& overflows = AddTask();
  Hold(&overflows, 1500, 70 * kMiB);
  Hold(&overflows, 3000, 75 * kMiB);
  EXPECT_EQ(WithQuota(50 * kMiB).overflow_bytes, 25 * kMiB);
}

// A slot that is another task's by now.
TEST_F(SimulationTest, SlotsAreUsedAgain) {
  RecordedTask& first = AddTask();
  Hold(&first, 1000, 40 * kMiB);
  first.end_us = 1500;
  first.gone_us = 1600;
  RecordedTask& second = AddTask();
  second.slot = kFirstTaskSlot;
  second.begin_us = 2000;
  second.quota[0].us = 2000;
  Hold(&second, 2500, 40 * kMiB);
  SimulatedLimits limits;
  limits.memory_bytes = 60 * kMiB;
  const SimulationResult result = Simulate(limits);
  EXPECT_FALSE(result.first);
  EXPECT_EQ(result.peak_held_bytes, 40 * kMiB);
}

// Of a process without a task, or of a forged one.
TEST_F(SimulationTest, RecordingsWithoutTasksAreNoObstacle) {
  EXPECT_EQ(FindQuota(), kMiB);
  RecordedPools& pools = recording_.pools.emplace_back();
  pools.us = 5;
  pools.slack = 9 * kMiB;
  EXPECT_FALSE(Simulate({}).first);
  EXPECT_FALSE(WithQuota(kMiB).first);
}

// Books of no task are given to none.
TEST_F(SimulationTest, TasksAreInSlotsOfTasks) {
  for (uint32_t slot = 0; slot < kFirstTaskSlot; ++slot) {
    RecordedTask& task = AddTask();
    task.slot = slot;
    Hold(&task, 1000, 10 * kMiB);
    task.end_us = 1500;
    task.gone_us = 1600;
  }
  Hold(&AddNone(kFirstTaskSlot), 1000, 10 * kMiB);
  const SimulationResult result = WithQuota(kMiB);
  EXPECT_FALSE(result.first);
  EXPECT_EQ(result.peak_held_bytes, 0u);
}

// What comes and goes adds up beyond all bounds.
TEST_F(SimulationTest, HugeSumsDoNoHarm) {
  RecordedTask& storage = AddNone(kStorageSlot);
  for (int i = 0; i < 100'000; ++i) {
    Hold(&storage, i, i % 2 == 0 ? uint64_t{1} << 47 : 0);
  }
  RecordedTask& task = AddTask();
  Hold(&task, 1, uint64_t{1} << 47);
  task.counters[static_cast<size_t>(Counter::kSpillFreed)] = 1;
  task.counters[static_cast<size_t>(Counter::kStallNs)] = UINT64_MAX;
  SimulatedLimits limits;
  limits.memory_bytes = 1;
  EXPECT_GT(Simulate(limits).not_cached_bytes, uint64_t{1} << 60);
  EXPECT_EQ(WithQuota(kMiB).stall_ns, 1'000'000'000'000'000'000u);
}

// Numbers that no process has.
TEST_F(SimulationTest, DamagedRecordingsDoNoHarm) {
  RecordedTask& task = AddTask(0);
  Hold(&task, 1000, UINT64_MAX);
  Hold(&task, 2000, 5);
  Hold(&task, 3000, UINT64_MAX / 2);
  RecordedTask& elsewhere = AddTask();
  elsewhere.slot = UINT32_MAX;
  Hold(&elsewhere, 1000, kMiB);
  Refuse(0, 1500, UINT64_MAX, UINT64_MAX, 0);
  Simulate({});
  WithQuota(kMiB);
  FindQuota();
}

}  // namespace
}  // namespace taskmem
