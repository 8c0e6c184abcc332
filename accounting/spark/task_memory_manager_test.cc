// Acquiring and spilling, in one thread. Pages: task_memory_pages_test.cc; threads:
// task_memory_threads_test.cc.
#include "accounting/spark/task_memory_manager.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "accounting/spark/task_memory_testing.h"

namespace taskmem {
namespace {

using namespace testing_support;

constexpr auto kSpark = Compatibility::kSpark;
constexpr auto kTaskmem = Compatibility::kTaskmem;
constexpr auto kOffHeap = MemoryMode::kOffHeap;

// Recorded scenarios; in these taskmem does what Spark does. The pools have 100 bytes.
class TaskMemoryScenarioTest : public testing::TestWithParam<Compatibility> {
 protected:
  TaskMemory memory_{{.compatibility = GetParam()}};
  TaskMemoryManager& task_ = memory_.task;
  EventLog& events_ = memory_.events;
};

INSTANTIATE_TEST_SUITE_P(Both, TaskMemoryScenarioTest, testing::Values(kSpark, kTaskmem), NameOf);

TEST_P(TaskMemoryScenarioTest, K7CooperativeSpilling) {
  TestConsumer c1(task_, "c1", SpillAllOfIt, events_);
  TestConsumer c2(task_, "c2", SpillAllOfIt, events_);
  EXPECT_EQ(c1.Acquire(100), 100);
  EXPECT_EQ(c2.Acquire(100), 100);
  EXPECT_EQ(events_.Take(), Events{"c1 100 for c2: 100 -> 100"});
  EXPECT_EQ(c1.Acquire(100), 100);
  EXPECT_EQ(events_.Take(), Events{"c2 100 for c1: 100 -> 100"});
  EXPECT_EQ(c1.Acquire(50), 50);
  EXPECT_EQ(events_.Take(), Events{"c1 50 for c1: 100 -> 100"});
  EXPECT_EQ(c2.Acquire(50), 50);
  EXPECT_EQ(events_.Take(), Events{});
  EXPECT_EQ(c1.Acquire(100), 100);
  EXPECT_EQ(events_.Take(),
            (Events{"c2 100 for c1: 50 -> 50", "c2 50 for c1: 0 -> 0", "c1 50 for c1: 50 -> 50"}));
  c1.FreeMemory(20);
  EXPECT_EQ(c2.Acquire(10), 10);
  EXPECT_EQ(c2.Acquire(100), 100);
  EXPECT_EQ(events_.Take(),
            (Events{"c1 90 for c2: 80 -> 80", "c1 10 for c2: 0 -> 0", "c2 10 for c2: 10 -> 10"}));
  c2.FreeMemory(100);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 0);
  EXPECT_EQ(events_.Take(), Events{});
}

TEST_P(TaskMemoryScenarioTest, K8CooperativeSpillingOfThree) {
  TestConsumer c1(task_, "c1", SpillAllOfIt, events_);
  TestConsumer c2(task_, "c2", SpillAllOfIt, events_);
  TestConsumer c3(task_, "c3", SpillAllOfIt, events_);
  EXPECT_EQ(c1.Acquire(20), 20);
  EXPECT_EQ(c2.Acquire(80), 80);
  EXPECT_EQ(c3.Acquire(80), 80);
  EXPECT_EQ(events_.Take(), Events{"c2 80 for c3: 80 -> 80"});
  EXPECT_EQ(c2.Acquire(80), 80);
  EXPECT_EQ(events_.Take(), Events{"c3 80 for c2: 80 -> 80"});
  EXPECT_EQ(c3.Acquire(10), 10);
  EXPECT_EQ(events_.Take(), Events{"c1 10 for c3: 20 -> 20"}) << "the smallest that fits";
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 90);
  EXPECT_EQ(events_.Take(), (Events{"DEBUG unreleased 80.0 B memory from c2",
                                    "DEBUG unreleased 10.0 B memory from c3"}));
}

TEST_P(TaskMemoryScenarioTest, K9TheRequesterIsLast) {
  TestConsumer c1(task_, "c1", SpillAllOfIt, events_);
  TestConsumer c2(task_, "c2", SpillAllOfIt, events_);
  TestConsumer c3(task_, "c3", SpillAllOfIt, events_);
  c1.Acquire(50);
  c2.Acquire(40);
  c3.Acquire(10);
  EXPECT_EQ(c1.Acquire(50), 50);
  EXPECT_EQ(events_.Take(), (Events{"c2 50 for c1: 40 -> 40", "c3 10 for c1: 10 -> 10"}));
  EXPECT_EQ(c1.Acquire(50), 50);
  EXPECT_EQ(events_.Take(), Events{"c1 50 for c1: 100 -> 100"});
  EXPECT_EQ(c2.Acquire(10), 10);
  EXPECT_EQ(c1.Acquire(60), 60);
  EXPECT_EQ(events_.Take(),
            (Events{"c2 20 for c1: 10 -> 10", "c2 10 for c1: 0 -> 0", "c1 10 for c1: 50 -> 50"}));
  c1.FreeMemory(60);
  c1.Acquire(50);
  c2.Acquire(40);
  c3.Acquire(10);
  EXPECT_EQ(c3.Acquire(50), 50);
  EXPECT_EQ(events_.Take(), Events{"c1 50 for c3: 50 -> 50"});
  EXPECT_EQ(c3.used(), 60);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 100);
}

TEST_P(TaskMemoryScenarioTest, K10TheSmallestThatIsLargeEnough) {
  TestConsumer c1(task_, "c1", SpillAllOfIt, events_);
  TestConsumer c2(task_, "c2", SpillAllOfIt, events_);
  TestConsumer c3(task_, "c3", SpillAllOfIt, events_);
  TestConsumer c4(task_, "c4", SpillAllOfIt, events_);
  c1.Acquire(50);
  c2.Acquire(40);
  c3.Acquire(10);
  EXPECT_EQ(c4.Acquire(5), 5);
  EXPECT_EQ(events_.Take(), Events{"c3 5 for c4: 10 -> 10"});
  EXPECT_EQ(c3.Acquire(45), 45);
  EXPECT_EQ(events_.Take(), Events{"c2 40 for c3: 40 -> 40"});
  EXPECT_EQ(c2.Acquire(51), 51);
  EXPECT_EQ(events_.Take(), (Events{"c1 51 for c2: 50 -> 50", "c4 1 for c2: 5 -> 5"}));
  EXPECT_EQ(c1.used(), 0);
  EXPECT_EQ(c3.used(), 45);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 96);
}

TEST_P(TaskMemoryScenarioTest, K11OnlyConsumersOfTheSameModeAreAsked) {
  TestConsumer c1(task_, "c1", SpillAllOfIt, events_);
  TestConsumer c2(task_, "c2", SpillAllOfIt, events_, kOffHeap);
  EXPECT_EQ(c1.Acquire(80), 80);
  EXPECT_EQ(c2.Acquire(80), 80);
  EXPECT_EQ(c2.Acquire(60), 60);
  EXPECT_EQ(events_.Take(), Events{"c2 40 for c2: 80 -> 80"});
  EXPECT_EQ(c1.Acquire(80), 80);
  EXPECT_EQ(events_.Take(), Events{"c1 60 for c1: 80 -> 80"});
  EXPECT_EQ(task_.peak_bytes(MemoryMode::kOnHeap), 80);
  EXPECT_EQ(task_.current_bytes(kOffHeap), 60);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 140) << "of both modes";
}

TEST_P(TaskMemoryScenarioTest, Tmm4KeysAreASnapshotAndOfEqualsTheLastIsAsked) {
  TestConsumer c1(task_, "c1", SpillHalf, events_);
  TestConsumer c2(task_, "c2", SpillHalf, events_);
  TestConsumer c3(task_, "c3", SpillHalf, events_);
  TestConsumer c4(task_, "c4", SpillHalf, events_);
  TestConsumer c5(task_, "c5", SpillHalf, events_);
  c1.Acquire(30);
  c2.Acquire(30);
  c3.Acquire(30);
  c4.Acquire(10);
  EXPECT_EQ(c5.Acquire(25), 25);
  EXPECT_EQ(events_.Take(),
            (Events{"c3 25 for c5: 30 -> 15", "c4 10 for c5: 10 -> 5", "c4 5 for c5: 5 -> 2",
                    "c4 3 for c5: 3 -> 1", "c4 2 for c5: 2 -> 1", "c4 1 for c5: 1 -> 0",
                    "c3 1 for c5: 15 -> 7"}));
  EXPECT_EQ(c5.Acquire(60), 60);
  EXPECT_EQ(events_.Take(),
            (Events{"c2 54 for c5: 30 -> 15", "c2 39 for c5: 15 -> 7", "c2 32 for c5: 8 -> 4",
                    "c2 28 for c5: 4 -> 2", "c2 26 for c5: 2 -> 1", "c2 25 for c5: 1 -> 0",
                    "c1 25 for c5: 30 -> 15", "c1 10 for c5: 15 -> 7", "c3 3 for c5: 8 -> 4"}));
  EXPECT_EQ(task_.peak_bytes(MemoryMode::kOnHeap), 100);
  EXPECT_EQ(task_.current_bytes(MemoryMode::kOnHeap), 99);
  task_.CleanUpAllAllocatedMemory();
}

TEST_P(TaskMemoryScenarioTest, Tmm2RefusesNothingAndLess) {
  TestConsumer c1(task_, "c1", SpillNothing, events_);
  EXPECT_EQ(c1.AcquireMemory(0).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(c1.AcquireMemory(-1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(c1.AcquireMemory(INT64_MIN).error().code, ErrorCode::kInvalidArgument);
  c1.FreeMemory(0);
  c1.FreeMemory(-5);
  EXPECT_EQ(c1.used(), 0);
  EXPECT_EQ(task_.current_bytes(MemoryMode::kOnHeap), 0);
  EXPECT_EQ(events_.Take(), Events{});
}

TEST_P(TaskMemoryScenarioTest, RefusesConsumersThatAreNotItsOwn) {
  TaskMemoryManager other(memory_.pools, 1, memory_.heap_allocator, memory_.unsafe_allocator);
  TestConsumer stranger(other, "stranger", SpillNothing, events_);
  EXPECT_EQ(task_.AcquireExecutionMemory(10, nullptr).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(task_.AcquireExecutionMemory(10, &stranger).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(task_.AllocatePage(10, nullptr).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(task_.AllocatePage(10, &stranger).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(stranger.Acquire(10), 10);
  task_.ReleaseExecutionMemory(10, nullptr);
  task_.ReleaseExecutionMemory(10, &stranger);
  EXPECT_EQ(memory_.Used(1), 10);
  EXPECT_EQ(task_.current_bytes(MemoryMode::kOnHeap), 0);
  other.CleanUpAllAllocatedMemory();
}

TEST_P(TaskMemoryScenarioTest, Tmm9MoreReleasedThanHeld) {
  TestConsumer c1(task_, "c1", SpillExactly, events_);
  c1.Acquire(40);
  task_.ReleaseExecutionMemory(60, &c1);
  EXPECT_EQ(events_.Take(), Events{"WARN Internal error: release called on 60 bytes but task only "
                                   "has 40 bytes of memory from the on-heap execution pool"});
  EXPECT_EQ(task_.current_bytes(MemoryMode::kOnHeap), -20);
  EXPECT_EQ(c1.used(), 40);
  c1.Acquire(10);
  c1.FreeMemory(100);
  events_.Take();
  EXPECT_EQ(c1.used(), -50);
  task_.ShowMemoryUsage();
  EXPECT_EQ(events_.Take(),
            (Events{"INFO Memory used in task 0",
                    "INFO 50 bytes of memory were used by task 0 but are not associated with "
                    "specific consumers",
                    "INFO 0 bytes of memory are used for execution and 0 bytes of memory are used "
                    "for storage and 0 bytes of unmanaged memory are used"}));
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 0);
}

TEST_P(TaskMemoryScenarioTest, NoSumOverflows) {
  TestConsumer c1(task_, "c1", SpillExactly, events_);
  c1.Acquire(40);
  for (int i = 0; i < 3; ++i) c1.FreeMemory(INT64_MAX);
  task_.ShowMemoryUsage();
  EXPECT_EQ(memory_.Used(), 0);
  EXPECT_EQ(c1.AcquireMemory(INT64_MAX).error().code, ErrorCode::kNone);
}

TEST_P(TaskMemoryScenarioTest, AConsumerIsAskedOnceAnAcquisitionOfItsEnded) {
  TestConsumer never(task_, "never", SpillAllOfIt, events_);
  TestConsumer c1(task_, "c1", SpillNothing, events_);
  TestConsumer full(task_, "full", SpillNothing, events_);
  EXPECT_EQ(full.Acquire(100), 100);
  EXPECT_EQ(c1.Acquire(10), 0) << "a shortfall is an answer";
  EXPECT_EQ(events_.Take(), Events{"full 10 for c1: 100 -> 0"}) << "c1 uses nothing";
  full.FreeMemory(100);
  EXPECT_EQ(memory_.Used(), 0);
}

TEST_P(TaskMemoryScenarioTest, Tmm7ASilentConsumerIsNotAskedAgain) {
  TestConsumer c1(task_, "c1", SpillSilently, events_);
  TestConsumer c2(task_, "c2", FailToSpill, events_);
  c1.Acquire(40);
  c2.Acquire(60);
  const Result<int64_t> got = c2.AcquireMemory(60);
  EXPECT_EQ(events_.Take(), (Events{"c1 60 for c2: 40 -> 0", "c2 60 for c2: 60 -> failed",
                                    "ERROR Error while calling spill() on c2"}));
  EXPECT_EQ(got.error().code, ErrorCode::kSpillFailed);
  EXPECT_STREQ(got.error().detail, "c2 : spill failed");
  EXPECT_EQ(c2.used(), 60);
  EXPECT_EQ(memory_.Used(), 60);
}

TEST_P(TaskMemoryScenarioTest, Tmm7AnInterruptedSpillIsNotOutOfMemory) {
  TestConsumer c1(task_, "c1", BeInterrupted, events_);
  TestConsumer c2(task_, "c2", SpillAllOfIt, events_);
  c1.Acquire(40);
  c2.Acquire(60);
  const Result<int64_t> got = c2.AcquireMemory(60);
  EXPECT_EQ(events_.Take(),
            (Events{"c1 60 for c2: 40 -> failed", "ERROR Error while calling spill() on c1"}));
  EXPECT_EQ(got.error().code, ErrorCode::kSpillInterrupted);
  EXPECT_STREQ(got.error().detail, "spill interrupted");
}

TEST_P(TaskMemoryScenarioTest, AnyErrorOfASpillIsAFailedSpill) {
  const std::string name(300, 'n');
  TestConsumer c1(
      task_, name.c_str(),
      [](TestConsumer&, int64_t) -> Result<int64_t> {
        return MemoryError(ErrorCode::kNoPhysicalMemory, 5);
      },
      events_);
  c1.Acquire(100);
  const Result<int64_t> got = c1.AcquireMemory(1);
  EXPECT_EQ(got.error().code, ErrorCode::kSpillFailed);
  EXPECT_EQ(std::string(got.error().detail), name.substr(0, sizeof(got.error().detail) - 1));
}

TEST_P(TaskMemoryScenarioTest, SpillAllAsksTheConsumerForEverything) {
  TestConsumer c1(task_, "c1", SpillAllOfIt, events_);
  c1.Acquire(30);
  EXPECT_EQ(*c1.SpillAll(), 30);
  EXPECT_EQ(events_.Take(), Events{"c1 9223372036854775807 for c1: 30 -> 30"});
  EXPECT_EQ(*c1.SpillAll(), 0);
}

TEST_P(TaskMemoryScenarioTest, SpillAllInsideASpillIsNothing) {
  TestConsumer c1(
      task_, "c1",
      [](TestConsumer& self, int64_t bytes) {
        EXPECT_EQ(*self.SpillAll(), 0);
        return SpillExactly(self, bytes);
      },
      events_);
  c1.Acquire(100);
  EXPECT_EQ(c1.Acquire(10), 10);
  EXPECT_EQ(c1.spills(), 1);
}

TEST_P(TaskMemoryScenarioTest, AConsumerIsNotAskedInsideItsOwnSpill) {
  TestConsumer c2(task_, "c2", SpillExactly, events_);
  // It must not acquire memory inside; if it does, nothing breaks.
  TestConsumer c1(
      task_, "c1",
      [&c2](TestConsumer&, int64_t) -> Result<int64_t> {
        EXPECT_EQ(c2.Acquire(1), 0);
        return int64_t{0};
      },
      events_);
  c1.Acquire(100);
  EXPECT_EQ(c2.Acquire(10), 0);
  EXPECT_EQ(c1.spills(), 1);
}

TEST_P(TaskMemoryScenarioTest, OrderHoldsForAnyNumberOfConsumers) {
  constexpr int kConsumers = 200;
  TaskMemory memory({.compatibility = GetParam(), .max_bytes = kConsumers * (kConsumers + 1) / 2});
  std::vector<std::string> names;
  for (int i = 1; i <= kConsumers; ++i) names.push_back("c" + std::to_string(i));
  std::vector<std::unique_ptr<TestConsumer>> consumers;
  for (int i = 1; i <= kConsumers; ++i) {
    consumers.push_back(std::make_unique<TestConsumer>(memory.task, names[i - 1].c_str(),
                                                       SpillAllOfIt, memory.events));
    EXPECT_EQ(consumers.back()->Acquire(i), i);
  }
  TestConsumer requester(memory.task, "r", SpillNothing, memory.events);
  EXPECT_EQ(requester.Acquire(kConsumers - 1), kConsumers - 1);
  EXPECT_EQ(memory.TakeEvents(), Events{"c199 199 for r: 199 -> 199"});
  EXPECT_EQ(requester.Acquire(299), 299) << "all of c200, then the smallest for what is left";
  EXPECT_EQ(memory.TakeEvents(), (Events{"c200 299 for r: 200 -> 200", "c99 99 for r: 99 -> 99"}));
  consumers.erase(consumers.begin() + 50, consumers.begin() + 150);
  EXPECT_EQ(requester.Acquire(50), 50);
  EXPECT_EQ(memory.TakeEvents(), Events{"c50 50 for r: 50 -> 50"});
  EXPECT_EQ(requester.Acquire(51), 51);
  EXPECT_EQ(memory.TakeEvents(), Events{"c151 51 for r: 151 -> 151"});
  memory.task.CleanUpAllAllocatedMemory();
}

TEST_P(TaskMemoryScenarioTest, ShowsWhoUsesWhat) {
  TestConsumer c1(task_, "c1", SpillNothing, events_);
  TestConsumer c2(task_, "c2", SpillNothing, events_);
  c1.Acquire(30);
  c2.Acquire(1);
  c2.FreeMemory(1);
  ASSERT_TRUE(*memory_.pools.AcquireStorageMemory("test_block", 20, MemoryMode::kOnHeap));
  EXPECT_EQ(*task_.AcquireExecutionMemory(5, &c1), 5) << "without a consumer's knowing";
  task_.ShowMemoryUsage();
  EXPECT_EQ(events_.Take(),
            (Events{"INFO Memory used in task 0", "INFO Acquired by c1: 30.0 B",
                    "INFO 5 bytes of memory were used by task 0 but are not associated with "
                    "specific consumers",
                    "INFO 35 bytes of memory are used for execution and 20 bytes of memory are "
                    "used for storage and 0 bytes of unmanaged memory are used"}));
  EXPECT_EQ(task_.GetMemoryConsumptionForThisTask(), 35);
}

// MM-e, SPARK-35486.
TEST_P(TaskMemoryScenarioTest, MMeAnotherTaskTakesWhatWasFreed) {
  TaskMemory memory({.compatibility = GetParam(), .max_bytes = 1000, .region_bytes = 500});
  TaskMemoryManager other(memory.pools, 2, memory.heap_allocator, memory.unsafe_allocator);
  TestConsumer c1(memory.task, "c1", SpillExactly, memory.events);
  TestConsumer c2(other, "c2", SpillExactly, memory.events);
  EXPECT_EQ(c1.Acquire(1000), 1000);
  std::thread waiter([&c2] { EXPECT_EQ(c2.Acquire(500), 500); });
  while (memory.pools.WaitingThreads() == 0) std::this_thread::yield();
  memory.TakeEvents();
  EXPECT_EQ(c1.Acquire(500), 500);
  waiter.join();
  const std::string second = GetParam() == kSpark ? "500" : "1000";
  EXPECT_EQ(memory.TakeEvents(),
            (Events{"c1 500 for c1: 1000 -> 500", "c1 " + second + " for c1: 500 -> 500"}));
  EXPECT_EQ(memory.Used(), 500);
  EXPECT_EQ(memory.Used(2), 500);
}

// What taskmem does in another way.

// Task 0 gets 33 bytes of 250, then its consumer frees 300 of which another task takes so
// many that it waits for the rest: that wait is interrupted.
class InterruptedAcquireTest : public testing::TestWithParam<Compatibility> {};

INSTANTIATE_TEST_SUITE_P(Both, InterruptedAcquireTest, testing::Values(kSpark, kTaskmem), NameOf);

TEST_P(InterruptedAcquireTest, Tmm7WhatWasGotIsKeptInSparkAlone) {
  Cancellation cancellation;
  TaskMemory memory(
      {.compatibility = GetParam(), .max_bytes = 1000, .wait = {.cancellation = &cancellation}});
  TaskMemoryManager second(memory.pools, 2, memory.heap_allocator, memory.unsafe_allocator);
  TaskMemoryManager third(memory.pools, 3, memory.heap_allocator, memory.unsafe_allocator);
  TestConsumer holder(second, "holder", SpillNothing, memory.events);
  TestConsumer waiter(third, "waiter", SpillNothing, memory.events);
  TestConsumer c1(memory.task, "c1", SpillAllOfIt, memory.events);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  EXPECT_EQ(holder.Acquire(650), 650);
  EXPECT_EQ(c1.Acquire(300), 300);
  std::thread third_thread([&waiter] { EXPECT_EQ(waiter.Acquire(200), 200); });
  while (memory.pools.WaitingThreads() == 0) std::this_thread::yield();
  std::thread canceller([&] {
    third_thread.join();
    while (memory.pools.WaitingThreads() == 0) std::this_thread::yield();
    memory.pools.Cancel(cancellation);
  });
  EXPECT_EQ(c2.AcquireMemory(250).error().code, ErrorCode::kInterrupted);
  canceller.join();
  EXPECT_EQ(c1.used(), 0);
  EXPECT_EQ(c2.used(), 0);
  EXPECT_EQ(memory.task.current_bytes(MemoryMode::kOnHeap), 0);
  EXPECT_EQ(memory.Used(), GetParam() == kSpark ? 33 : 0);
}

class FailedSpillTest : public testing::TestWithParam<Compatibility> {};

INSTANTIATE_TEST_SUITE_P(Both, FailedSpillTest, testing::Values(kSpark, kTaskmem), NameOf);

TEST_P(FailedSpillTest, Tmm7WhatWasGotIsKeptInSparkAlone) {
  TaskMemory memory({.compatibility = GetParam()});
  TestConsumer c1(memory.task, "c1", SpillExactly, memory.events);
  TestConsumer c2(memory.task, "c2", FailToSpill, memory.events);
  TestConsumer c3(memory.task, "c3", SpillNothing, memory.events);
  c1.Acquire(40);
  c2.Acquire(30);
  // 30 are free, 40 come from c1, and c2 fails.
  EXPECT_EQ(c3.AcquireMemory(90).error().code, ErrorCode::kSpillFailed);
  EXPECT_EQ(memory.TakeEvents(), (Events{"c1 60 for c3: 40 -> 40", "c2 20 for c3: 30 -> failed",
                                         "ERROR Error while calling spill() on c2"}));
  EXPECT_EQ(c3.used(), 0);
  EXPECT_EQ(memory.Used(), GetParam() == kSpark ? 100 : 30);
  EXPECT_EQ(memory.task.current_bytes(MemoryMode::kOnHeap), 30);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), GetParam() == kSpark ? 100 : 30);
}

TEST(BoundedSpilling, Tmm6AFewCallsBringATaskBelowItsCap) {
  constexpr int64_t kMax = int64_t{1} << 30;
  TaskMemory memory({.max_bytes = kMax});
  TaskMemoryManager other(memory.pools, 2, memory.heap_allocator, memory.unsafe_allocator);
  TestConsumer c1(memory.task, "c1", SpillExactly, memory.events);
  TestConsumer c2(other, "c2", SpillNothing, memory.events);
  EXPECT_EQ(c1.Acquire(kMax), kMax);
  std::thread waiter([&c2] { EXPECT_EQ(c2.Acquire(1 << 20), 1 << 20); });
  while (memory.pools.WaitingThreads() == 0) std::this_thread::yield();
  EXPECT_EQ(c1.Acquire(1), 1) << "its cap is half of the pool now";
  waiter.join();
  EXPECT_LE(c1.spills(), 31);
  EXPECT_GE(c1.used(), 1) << "it freed twice what was needed at most";
  EXPECT_LE(c1.used(), kMax / 2);
}

TEST(BoundedSpilling, AConsumerThatDribblesIsGivenUp) {
  constexpr int64_t kMax = int64_t{1} << 30;
  TaskMemory memory({.max_bytes = kMax});
  TaskMemoryManager other(memory.pools, 2, memory.heap_allocator, memory.unsafe_allocator);
  TestConsumer c1(
      memory.task, "c1", [](TestConsumer& self, int64_t) { return Free(self, 1); }, memory.events);
  TestConsumer c2(other, "c2", SpillNothing, memory.events);
  EXPECT_EQ(c1.Acquire(kMax), kMax);
  std::thread waiter([&c2] { EXPECT_EQ(c2.Acquire(40), 40); });
  while (memory.pools.WaitingThreads() == 0) std::this_thread::yield();
  EXPECT_EQ(c1.Acquire(1), 0);
  waiter.join();
  EXPECT_EQ(c1.spills(), TaskMemoryManager::kMaxFruitlessSpills);
}

TEST(BoundedSpilling, AConsumerThatFreesAByteEachTimeIsGivenUp) {
  constexpr int64_t kMax = int64_t{1} << 30;
  TaskMemory memory({.max_bytes = kMax});
  TestConsumer c1(
      memory.task, "c1", [](TestConsumer& self, int64_t) { return Free(self, 1); }, memory.events);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  EXPECT_EQ(c1.Acquire(kMax), kMax);
  EXPECT_EQ(c2.Acquire(kMax), TaskMemoryManager::kMaxSpills);
  EXPECT_EQ(c1.spills(), TaskMemoryManager::kMaxSpills);
}

TEST(BoundedSpilling, AConsumerThatLiesIsAskedOnce) {
  TaskMemory memory({});
  TestConsumer liar(
      memory.task, "liar", [](TestConsumer&, int64_t bytes) -> Result<int64_t> { return bytes; },
      memory.events);
  TestConsumer c1(memory.task, "c1", SpillExactly, memory.events);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  liar.Acquire(60);
  c1.Acquire(40);
  EXPECT_EQ(c2.Acquire(50), 40);
  EXPECT_EQ(liar.spills(), 1);
  EXPECT_EQ(c1.spills(), 2);
}

TEST(BoundedSpilling, ANegativeAnswerIsNothing) {
  for (const Compatibility compatibility : {kSpark, kTaskmem}) {
    TaskMemory memory({.compatibility = compatibility});
    TestConsumer c1(
        memory.task, "c1", [](TestConsumer&, int64_t) -> Result<int64_t> { return int64_t{-7}; },
        memory.events);
    c1.Acquire(100);
    EXPECT_EQ(c1.Acquire(50), 0);
    EXPECT_EQ(c1.spills(), 1);
  }
}

// Consumers that go away.

TEST(LeavingConsumer, IsNotAskedAnyMore) {
  TaskMemory memory({});
  {
    TestConsumer c1(memory.task, "c1", SpillAllOfIt, memory.events);
    c1.Acquire(100);
  }
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  EXPECT_EQ(c2.Acquire(10), 0);
  EXPECT_EQ(memory.TakeEvents(), Events{});
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 100) << "nobody freed it";
}

TEST(LeavingConsumer, MayLeaveWhileAnotherSpills) {
  TaskMemory memory({});
  auto victim = std::make_unique<TestConsumer>(memory.task, "victim", SpillAllOfIt, memory.events);
  TestConsumer c1(
      memory.task, "c1",
      [&victim](TestConsumer& self, int64_t bytes) {
        if (victim != nullptr) victim->FreeMemory(victim->used());
        victim.reset();
        return SpillExactly(self, bytes);
      },
      memory.events);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  victim->Acquire(40);
  c1.Acquire(60);
  // It is c1's turn first; the victim is in the snapshot, with 40 bytes.
  EXPECT_EQ(c2.Acquire(100), 100);
}

// Destroys itself as it spills.
class SelfDestroyer final : public MemoryConsumer {
 public:
  SelfDestroyer(TaskMemoryManager& manager, bool fails)
      : MemoryConsumer(manager, MemoryMode::kOnHeap, "self destroyer"), fails_(fails) {}
  ~SelfDestroyer() { Leave(); }

  Result<int64_t> Spill(int64_t, MemoryConsumer*) override {
    const int64_t freed = used();
    const bool fails = fails_;
    FreeMemory(freed);
    delete this;
    if (fails) return MemoryError(ErrorCode::kSpillFailed, "gone");
    return freed;
  }

 private:
  const bool fails_;
};

TEST(LeavingConsumer, MayBeDestroyedInsideItsOwnSpill) {
  for (const Compatibility compatibility : {kSpark, kTaskmem}) {
    for (const bool fails : {false, true}) {
      TaskMemory memory({.compatibility = compatibility});
      auto* const destroyer = new SelfDestroyer(memory.task, fails);
      EXPECT_EQ(*destroyer->AcquireMemory(100), 100);
      TestConsumer c1(memory.task, "c1", SpillNothing, memory.events);
      const Result<int64_t> got = c1.AcquireMemory(30);
      EXPECT_EQ(got.error().code, fails ? ErrorCode::kSpillFailed : ErrorCode::kNone);
      if (!fails) {
        EXPECT_EQ(*got, 30);
      }
      EXPECT_EQ(c1.Acquire(100), fails ? 100 : 70);
    }
  }
}

TEST(LeavingConsumer, MayOutliveACleanUp) {
  TaskMemory memory({});
  TestConsumer c1(memory.task, "c1", SpillAllOfIt, memory.events);
  c1.Acquire(60);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 60);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 0);
  EXPECT_EQ(memory.TakeEvents(), Events{"DEBUG unreleased 60.0 B memory from c1"});
}

}  // namespace
}  // namespace taskmem
