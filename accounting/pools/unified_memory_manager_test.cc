#include "accounting/pools/unified_memory_manager.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "accounting/pools/manager_testing.h"

namespace taskmem {
namespace {

using Lines = std::vector<std::string>;
constexpr Compatibility kSpark = Compatibility::kSpark;
constexpr Compatibility kTaskmem = Compatibility::kTaskmem;

// What is the same in both.
class ManagerTest : public testing::TestWithParam<Compatibility> {};
INSTANTIATE_TEST_SUITE_P(Both, ManagerTest, testing::Values(kSpark, kTaskmem), NameOf);

MemoryManagerOptions Sizes(int64_t on_heap, int64_t on_heap_region, int64_t off_heap,
                           int64_t off_heap_region) {
  MemoryManagerOptions options;
  options.max_heap_bytes = on_heap;
  options.on_heap_storage_region_bytes = on_heap_region;
  options.max_off_heap_bytes = off_heap;
  options.off_heap_storage_region_bytes = off_heap_region;
  return options;
}

ErrorCode CodeOf(MemoryManagerOptions options, Compatibility compatibility) {
  options.compatibility = compatibility;
  return UnifiedMemoryManager::Validate(options).code;
}

TEST_P(ManagerTest, Mm1RefusesImpossibleSizes) {
  EXPECT_EQ(CodeOf(Sizes(1, 0, 0, 0), GetParam()), ErrorCode::kNone);
  EXPECT_EQ(CodeOf(Sizes(1000, 500, 1000, 1000), GetParam()), ErrorCode::kNone);
  EXPECT_EQ(CodeOf(Sizes(INT64_MAX, 0, INT64_MAX, INT64_MAX), GetParam()), ErrorCode::kNone);
  const ErrorCode no_heap = ErrorCode::kNoOnHeapExecutionMemory;
  EXPECT_EQ(CodeOf(Sizes(1000, 1000, 0, 0), GetParam()), no_heap);
  EXPECT_EQ(CodeOf(Sizes(1000, 1001, 0, 0), GetParam()), no_heap);
  EXPECT_EQ(CodeOf(Sizes(-100, -50, 0, 0), GetParam()), no_heap);
  EXPECT_EQ(CodeOf(Sizes(1000, -1, 0, 0), GetParam()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Sizes(1000, 500, -1, 0), GetParam()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Sizes(1000, 500, 100, -1), GetParam()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Sizes(1000, 500, 100, 101), GetParam()), ErrorCode::kInvalidArgument);
}

TEST(Manager, Mm1SparkNeedsAHeap) {
  EXPECT_EQ(CodeOf(Sizes(0, 0, 1000, 500), kSpark), ErrorCode::kNoOnHeapExecutionMemory);
  EXPECT_EQ(CodeOf(Sizes(0, 0, 1000, 500), kTaskmem), ErrorCode::kNone);
  TestManager m(kTaskmem, {.on_heap = 0, .on_heap_region = 0, .off_heap = 10});
  EXPECT_EQ(m.Acquire(1, 5), 0);
  EXPECT_EQ(m.Acquire(1, 5, kOff), 5);
}

TEST_P(ManagerTest, Mm3SumsBothModes) {
  TestManager m(GetParam(), {.off_heap = 1000, .off_heap_region = 500});
  EXPECT_EQ(m.Acquire(1, 100), 100);
  EXPECT_EQ(m.Acquire(1, 20, kOff), 20);
  EXPECT_EQ(m.Acquire(2, 3, kOff), 3);
  EXPECT_TRUE(m.Store(50));
  EXPECT_TRUE(m.Store(6, kOff));
  EXPECT_EQ(m->ExecutionMemoryUsed(), 123);
  EXPECT_EQ(m->ExecutionMemoryUsed(kOn), 100);
  EXPECT_EQ(m->ExecutionMemoryUsed(kOff), 23);
  EXPECT_EQ(m->StorageMemoryUsed(), 56);
  EXPECT_EQ(m->StorageMemoryUsed(kOn), 50);
  EXPECT_EQ(m->StorageMemoryUsed(kOff), 6);
  EXPECT_EQ(m.Usage(1), 120);
  EXPECT_EQ(m.ReleaseAll(1), 120);
  EXPECT_EQ(m.Usage(1), 0);
  EXPECT_EQ(m.Usage(2), 3);
}

TEST_P(ManagerTest, Mm4ReleasesAllStorageOfBothModes) {
  TestManager m(GetParam(), {.off_heap = 1000, .off_heap_region = 500});
  EXPECT_TRUE(m.Store(700));
  EXPECT_TRUE(m.Store(600, kOff));
  m->ReleaseAllStorageMemory();
  EXPECT_EQ(m.Pools(), "300/0 700/0");  // sizes stay (STORE-4)
  EXPECT_EQ(m.Pools(kOff), "400/0 600/0");
}

TEST_P(ManagerTest, Mm2UnrollMemoryIsStorageMemory) {
  TestManager m(GetParam());
  const Result<bool> granted = m->AcquireUnrollMemory("rdd_1_0", 600, kOn);
  EXPECT_TRUE(granted.value());
  EXPECT_EQ(m.Pools(), "400/0 600/600");
  m->ReleaseUnrollMemory(100, kOn);
  EXPECT_EQ(m->StorageMemoryUsed(), 500);
}

TEST_P(ManagerTest, ModesShareNothing) {
  TestManager m(GetParam(), {.off_heap = 100, .off_heap_region = 50});
  EXPECT_EQ(m.Acquire(1, 2000), 1000);
  EXPECT_EQ(m.Acquire(1, 2000, kOff), 100);
  EXPECT_EQ(m.Acquire(1, 1, kOff), 0);
  m.Release(1, 1);
  EXPECT_EQ(m.Acquire(1, 1, kOff), 0);
  EXPECT_EQ(m.Keys(), "1:999");
  EXPECT_EQ(m.Keys(kOff), "1:100");
}

TEST_P(ManagerTest, Exec2RefusesRequestsThatAreNone) {
  TestManager m(GetParam());
  EXPECT_EQ(m.AcquireError({.bytes = 0}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(m.AcquireError({.bytes = -1}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(m.AcquireError({.bytes = INT64_MIN}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(m.AcquireError({.bytes = 5, .at_least = 6}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(m.AcquireError({.bytes = 5, .at_least = -1}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(m.Keys(), "");
}

TEST_P(ManagerTest, TakesHugeRequests) {
  TestManager m(GetParam(), {.on_heap = INT64_MAX, .on_heap_region = INT64_MAX / 2});
  EXPECT_EQ(m.Acquire(1, INT64_MAX), INT64_MAX);
  EXPECT_EQ(m.Acquire(1, INT64_MAX), 0);
  m.Release(1, INT64_MAX);
  EXPECT_TRUE(m.Store(INT64_MAX));
  EXPECT_EQ(m.Pools(), "0/0 9223372036854775807/9223372036854775807");
}

TEST_P(ManagerTest, SmallPoolsTakeHugeRequests) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, INT64_MAX), 1000);
  EXPECT_FALSE(m.Store(INT64_MAX));
  m.Release(1, INT64_MAX);
  EXPECT_TRUE(m.Store(900));
  EXPECT_EQ(m.Acquire(1, INT64_MAX), 500);
  EXPECT_EQ(m.Pools(), "500/500 500/500");
}

TEST_P(ManagerTest, NegativeReleasesAreIgnored) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 100), 100);
  EXPECT_TRUE(m.Store(50));
  EXPECT_EQ(m->ReleaseExecutionMemory(-1, 1, kOn), 0);
  m.Unstore(-1);
  EXPECT_EQ(m.Pools(), "500/100 500/50");
}

TEST(Manager, Exec6InSparkAnAnswerOfNothingLeavesAKey) {
  TestManager m(kSpark);
  EXPECT_TRUE(m.Store(1000));
  m.evictor().Do([](int64_t, MemoryMode) { return int64_t{0}; });
  // Storage has borrowed the whole pool: 1/2N of nothing is nothing (EXEC-7).
  EXPECT_EQ(m.Acquire(1, 100), 0);
  EXPECT_EQ(m.Keys(), "1:0");
  m.Release(1, 0);
  EXPECT_EQ(m.Keys(), "");
}

TEST(Manager, Exec6AnAnswerOfNothingLeavesNoKey) {
  TestManager m(kTaskmem);
  EXPECT_TRUE(m.Store(1000));
  m.evictor().Do([](int64_t, MemoryMode) { return int64_t{0}; });
  EXPECT_EQ(m.Acquire(1, 100), 0);
  EXPECT_EQ(m.Keys(), "");
}

TEST_P(ManagerTest, Exec8ReturnsWhatWasReleased) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 100), 100);
  EXPECT_EQ(m->ReleaseExecutionMemory(40, 1, kOn), 40);
  EXPECT_EQ(m.log().Take(), Lines{});
  EXPECT_EQ(m->ReleaseExecutionMemory(100, 1, kOn), 60);
  EXPECT_EQ(m->ReleaseExecutionMemory(5, 9, kOff), 0);
  EXPECT_EQ(m.log().Take(),
            (Lines{"WARN Internal error: release called on 100 bytes but task only has 60 bytes "
                   "of memory from the on-heap execution pool",
                   "WARN Internal error: release called on 5 bytes but task only has 0 bytes of "
                   "memory from the off-heap execution pool"}));
}

TEST_P(ManagerTest, Exec10SaysOnceThatATaskWaits) {
  TestManager m(GetParam(), {.off_heap = 1000});
  EXPECT_EQ(m.Acquire(1, 1000, kOff), 1000);
  const auto t2 = m.BeginAcquire(2, 500, kOff);
  m.Release(1, 100, kOff);
  m.Release(1, 100, kOff);
  EXPECT_EQ(m->WaitingThreads(), 1);
  m.Release(1, 300, kOff);
  EXPECT_EQ(t2->Grant(), 500);
  EXPECT_EQ(m.log().Take(), (Lines{"INFO TID 2 waiting for at least 1/2N of off-heap execution "
                                   "pool to be free"}));
}

TEST_P(ManagerTest, Exec11AReleaseOfEitherModeWakes) {
  TestManager m(GetParam(), {.off_heap = 1000});
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto t2 = m.BeginAcquire(2, 250);
  m.Release(1, 250);
  EXPECT_EQ(t2->Grant(), 250);
  // A new key of the other mode changes nothing here.
  const auto t3 = m.BeginAcquire(3, 250);
  EXPECT_EQ(m.Acquire(9, 10, kOff), 10);
  EXPECT_EQ(m->WaitingThreads(), 1);
  m.Release(1, 500);
  EXPECT_EQ(t3->Grant(), 250);
}

TEST_P(ManagerTest, ANewTaskLowersTheMinimumOfWaiters) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 800), 800);
  const auto t2 = m.BeginAcquire(2, 300);  // 200 < 1000 / 4
  EXPECT_EQ(m.Acquire(3, 10), 10);
  EXPECT_EQ(t2->Grant(), 190);  // >= 1000 / 6
}

TEST_P(ManagerTest, AReleaseMayAnswerSeveral) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  std::vector<std::unique_ptr<PendingAcquire>> waiting;
  for (int64_t task = 2; task <= 5; ++task) waiting.push_back(m.BeginAcquire(task, 200));
  EXPECT_EQ(m->WaitingThreads(), 4);
  m.Release(1, 400);
  EXPECT_EQ(m->WaitingThreads(), 2);
  m.Release(1, 400);
  EXPECT_EQ(m->WaitingThreads(), 0);
  for (const auto& task : waiting) EXPECT_EQ(task->Grant(), 200);
  EXPECT_EQ(m.Keys(), "1:200 2:200 3:200 4:200 5:200");
}

TEST_P(ManagerTest, ManyThreadsOfATaskMayWait) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto a = m.BeginAcquire(2, 200);
  const auto b = m.BeginAcquire(2, 200);
  m.Release(1, 500);
  EXPECT_EQ(a->Grant(), 200);
  EXPECT_EQ(b->Grant(), 200);
  EXPECT_EQ(m.Usage(2), 400);
}

TEST_P(ManagerTest, ATimeoutOfNothingDoesNotWait) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  EXPECT_EQ(m.AcquireError({.bytes = 10, .task = 2, .timeout_ns = 0}), ErrorCode::kTimedOut);
  EXPECT_EQ(m.AcquireError({.bytes = 10, .task = 2, .timeout_ns = -1}), ErrorCode::kTimedOut);
  EXPECT_EQ(m.log().Take(), Lines{});
  EXPECT_EQ(m->WaitingThreads(), 0);
}

TEST_P(ManagerTest, AWaitEndsAtItsDeadline) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const ExecutionRequest request = {.bytes = 10, .task = 2, .timeout_ns = 1'000'000};
  const Result<int64_t> result = m->AcquireExecutionMemory(request);
  EXPECT_EQ(result.error().code, ErrorCode::kTimedOut);
  EXPECT_EQ(result.error().requested, 10);
  EXPECT_EQ(m->WaitingThreads(), 0);
  EXPECT_EQ(m.Keys(), GetParam() == kSpark ? "1:1000 2:0" : "1:1000");
  EXPECT_EQ(m.Pools(), "1000/1000 0/0");
}

TEST_P(ManagerTest, LongDeadlinesDoNotOverflow) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto t2 = m.BeginAcquire({.bytes = 10, .task = 2, .timeout_ns = INT64_MAX - 1});
  m.Release(1, 10);
  EXPECT_EQ(t2->Grant(), 10);
}

TEST_P(ManagerTest, WaitingLeavesErrnoAlone) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  errno = ERANGE;
  m.AcquireError({.bytes = 10, .task = 2, .timeout_ns = 1'000'000});
  EXPECT_EQ(errno, ERANGE);
}

TEST_P(ManagerTest, ACancellationEndsItsWaitsOnly) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  Cancellation cancelled;
  Cancellation other;
  const auto a = m.BeginAcquire({.bytes = 10, .task = 2, .cancellation = &cancelled});
  const auto b = m.BeginAcquire({.bytes = 20, .task = 2, .cancellation = &cancelled});
  const auto c = m.BeginAcquire({.bytes = 30, .task = 3, .cancellation = &other});
  const auto d = m.BeginAcquire({.bytes = 40, .task = 4});
  EXPECT_FALSE(cancelled.is_cancelled());
  m->Cancel(cancelled);
  EXPECT_TRUE(cancelled.is_cancelled());
  EXPECT_EQ(a->Error(), ErrorCode::kInterrupted);
  EXPECT_EQ(b->Join().error().requested, 20);
  EXPECT_EQ(m->WaitingThreads(), 2);
  m.ReleaseAll(1);
  EXPECT_EQ(c->Grant(), 30);
  EXPECT_EQ(d->Grant(), 40);
}

TEST_P(ManagerTest, ACancellationEndsLaterWaitsToo) {
  TestManager m(GetParam());
  Cancellation cancelled;
  m->Cancel(cancelled);
  const ExecutionRequest request = {.bytes = 600, .task = 1, .cancellation = &cancelled};
  const Result<int64_t> granted = m->AcquireExecutionMemory(request);
  EXPECT_EQ(granted.value(), 600);  // it need not wait
  EXPECT_EQ(m.Acquire(1, 1000), 400);
  EXPECT_EQ(m.AcquireError({.bytes = 10, .task = 2, .cancellation = &cancelled}),
            ErrorCode::kInterrupted);
}

TEST_P(ManagerTest, LessThanAtLeastIsNothing) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 600), 600);
  EXPECT_EQ(m.Acquire(1, 500, kOn, 400), 400);
  m.Release(1, 100);
  EXPECT_EQ(m.Acquire(1, 500, kOn, 101), 0);
  EXPECT_EQ(m.Usage(1), 900);
  EXPECT_EQ(m.Acquire(1, 500, kOn, 100), 100);
}

TEST_P(ManagerTest, EnoughIsNotWaitedFor) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 900), 900);
  // 100 are less than 1/2N, but enough.
  EXPECT_EQ(m.Acquire(2, 500, kOn, 100), 100);
  const auto t3 = m.BeginAcquire({.bytes = 500, .task = 3, .at_least = 100});
  m.Release(1, 99);
  EXPECT_EQ(m->WaitingThreads(), 1);
  m.Release(1, 1);
  EXPECT_EQ(t3->Grant(), 100);
}

// TASK-2

TEST(Manager, TheEndOfATaskEndsItsWaits) {
  TestManager m(kTaskmem, {.off_heap = 1000});
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  EXPECT_EQ(m.Acquire(1, 1000, kOff), 1000);
  const auto a = m.BeginAcquire(2, 10);
  const auto b = m.BeginAcquire(2, 20, kOff);
  const auto c = m.BeginAcquire(3, 30);
  m->EndTask(2);
  EXPECT_EQ(a->Error(), ErrorCode::kTaskEnded);
  EXPECT_EQ(b->Join().error().requested, 20);
  EXPECT_EQ(m->WaitingThreads(), 1);
  EXPECT_EQ(m.Keys(), "1:1000 3:0");
  m.ReleaseAll(1);
  EXPECT_EQ(c->Grant(), 30);
}

TEST(Manager, InSparkTheEndOfATaskEndsNoWait) {
  TestManager m(kSpark);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto t2 = m.BeginAcquire(2, 10);
  m->EndTask(2);
  m->EndTask(1);
  EXPECT_EQ(m->WaitingThreads(), 1);
  EXPECT_EQ(m.Keys(), "1:1000 2:0");
  m.Release(1, 10);
  EXPECT_EQ(t2->Grant(), 10);
}

TEST(Manager, AnEndedTaskDoesNotCountAndKeepsWhatItHolds) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 300), 300);
  EXPECT_EQ(m.Acquire(2, 400), 400);
  EXPECT_EQ(m.Acquire(2, 400), 100);  // half of 1000
  m->EndTask(1);
  EXPECT_EQ(m->GetPools(kOn).active_tasks, 1);
  EXPECT_EQ(m.Usage(1), 300);
  EXPECT_EQ(m.Acquire(2, 400), 200);
  EXPECT_EQ(m.ReleaseAll(1), 300);
  EXPECT_EQ(m.Keys(), "2:700");
}

// Nobody may ever give back what an ended task holds.
TEST(Manager, AnEndedTaskDoesNotMakeALoneTaskWait) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 900), 900);
  m->EndTask(1);
  EXPECT_EQ(m.Acquire(2, 300), 100);
  EXPECT_EQ(m.Acquire(2, 300), 0);
}

TEST(Manager, TheEndOfATaskWakesOthers) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 900), 900);
  const auto t2 = m.BeginAcquire(2, 300);
  m->EndTask(1);
  EXPECT_EQ(t2->Grant(), 100);
}

// A request that is evicting when its task ends must not wait for memory afterwards.
TEST(Manager, TheEndOfATaskReachesARequestThatEvicts) {
  TestManager m(kTaskmem);
  EXPECT_TRUE(m.Store(600));
  EXPECT_EQ(m.Acquire(1, 400), 400);
  m.evictor().Do([&m](int64_t, MemoryMode) {
    m->EndTask(2);
    return int64_t{0};
  });
  EXPECT_EQ(m.AcquireError({.bytes = 300, .task = 2, .timeout_ns = 0}), ErrorCode::kTaskEnded);
  EXPECT_EQ(m.Keys(), "1:400");
}

// Nor one that says just then that it is going to wait.
TEST(Manager, TheEndOfATaskReachesARequestThatLogs) {
  class EndingLog : public MemoryLog {
   public:
    void Write(LogLevel, const char*) override { manager->EndTask(2); }
    UnifiedMemoryManager* manager = nullptr;
  } log;
  MemoryManagerOptions options = Sizes(1000, 500, 0, 0);
  options.log = &log;
  UnifiedMemoryManager manager(options);
  log.manager = &manager;
  ASSERT_TRUE(manager.AcquireExecutionMemory({.bytes = 1000, .task = 1}).ok());
  const Result<int64_t> result =
      manager.AcquireExecutionMemory({.bytes = 10, .task = 2, .timeout_ns = kTestTimeoutNs / 30});
  EXPECT_EQ(result.error().code, ErrorCode::kTaskEnded);
}

TEST(Manager, AnEndedTasksIdMayBeUsedAgain) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 300), 300);
  m->EndTask(1);
  EXPECT_EQ(m.Acquire(1, 300), 300);
  EXPECT_EQ(m.Keys(), "1:600");
  EXPECT_EQ(m->GetPools(kOn).active_tasks, 1);
}

// Idle grants

class Holder : public IdleGrantHolder {
 public:
  Holder(TestManager& m, int64_t task, int64_t idle) : m_(m), task_(task), idle_(idle) {
    m->SetIdleGrantHolder(this);
  }
  void ReturnIdleGrants(MemoryMode mode, const int64_t* requester) override {
    ++calls;
    last_requester = requester != nullptr ? *requester : kStorage;
    m_.Release(task_, idle_, mode);
    idle_ = 0;
  }
  static constexpr int64_t kStorage = -1;
  int calls = 0;
  int64_t last_requester = 0;

 private:
  TestManager& m_;
  const int64_t task_;
  int64_t idle_;
};

TEST(Manager, IdleGrantsComeBackBeforeARequestIsAnsweredShort) {
  TestManager m(kTaskmem);
  Holder holder(m, 1, 250);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  EXPECT_EQ(holder.calls, 0);
  EXPECT_EQ(m.Acquire(2, 250), 250);
  EXPECT_EQ(holder.calls, 1);
  EXPECT_EQ(holder.last_requester, 2);
}

TEST(Manager, IdleGrantsComeBackBeforeABlockIsRefused) {
  TestManager m(kTaskmem);
  Holder holder(m, 1, 250);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  EXPECT_TRUE(m.Store(250));
  EXPECT_EQ(holder.calls, 1);
  EXPECT_EQ(holder.last_requester, Holder::kStorage);
  EXPECT_EQ(m.Pools(), "750/750 250/250");
}

TEST(Manager, IdleGrantsAreLeftAloneWhereThereIsEnough) {
  TestManager m(kTaskmem);
  Holder holder(m, 1, 100);
  EXPECT_EQ(m.Acquire(1, 400), 400);
  EXPECT_EQ(m.Acquire(2, 400), 400);
  EXPECT_TRUE(m.Store(200));
  EXPECT_EQ(holder.calls, 0);
}

TEST(Manager, WithoutSharesATaskMayHaveAllThatIsFree) {
  TestManager m(kTaskmem, {}, Sharing::kNone);
  EXPECT_EQ(m.Acquire(1, 300), 300);
  EXPECT_EQ(m.Acquire(2, 650), 650);
  EXPECT_EQ(m.Acquire(1, 650), 50);
}

TEST(Manager, FairSharesKeepWhatOthersLack) {
  TestManager m(kTaskmem, {}, Sharing::kFair);
  EXPECT_EQ(m.Acquire(1, 1000), 1000) << "it is alone";
  m.Release(1, 400);
  EXPECT_EQ(m.Acquire(2, 5), 5);
  EXPECT_EQ(m.Acquire(1, 400), 150);  // 250 are the second's, of which it has 5
  EXPECT_EQ(m.Acquire(1, 100), 0);
  EXPECT_EQ(m.Acquire(2, 245), 245);
  m->EndTask(2);
}

// Forks

TEST(Manager, AForkChildBeginsAnew) {
  TestManager m(kTaskmem);
  EXPECT_TRUE(m.Store(600));
  EXPECT_EQ(m.Acquire(1, 400), 400);
  EXPECT_TRUE(m->OverdrawExecutionMemory(50, 1, kOn));
  m->ResetAfterFork();
  EXPECT_EQ(m.Pools(), "400/0 600/600");
  EXPECT_EQ(m.Keys(), "");
  EXPECT_EQ(m->GetPools(kOn).overdrawn, 0);
  EXPECT_EQ(m->GetPools(kOn).active_tasks, 0);
  EXPECT_EQ(m->WaitingThreads(), 0);
  m->ReleaseAllStorageMemory();
  EXPECT_EQ(m.Acquire(2, 1000), 1000);
}

TEST(Manager, AForkChildHasItsRegionAgain) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  m->ResetAfterFork();
  EXPECT_EQ(m.Pools(), "500/0 500/0");
}

}  // namespace
}  // namespace taskmem
