#include "accounting/tasks/task_grants.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kQuantum = TaskGrants::kMinQuantumBytes;
constexpr MemoryMode kMode = MemoryMode::kOffHeap;

// The books of a process that may have `memory_bytes`; kTasks tasks have begun.
class Process {
 public:
  static constexpr uint32_t kTasks = 4;
  static constexpr uint32_t kA = kFirstTaskSlot;
  static constexpr uint32_t kB = kFirstTaskSlot + 1;
  static constexpr uint32_t kC = kFirstTaskSlot + 2;

  explicit Process(uint64_t memory_bytes, Sharing sharing = Sharing::kNone)
      : pools_(Options(memory_bytes, sharing, &unmanaged_)),
        grants_(pools_, books_, slots_, unmanaged_) {
    pools_.SetIdleGrantHolder(&grants_);
    for (TaskBook& book : books_) {
      book.quota_bytes = kNoQuota;
      book.state = TaskState::kLive;
    }
    books_[kUntrackedSlot].granted_bytes = kNoPool;
    books_[kEndedTasksSlot].granted_bytes = kNoPool;
  }

  // As malloc and free do it (shim/contexts/charge.h).
  ChargeOutcome Charge(uint32_t slot, uint64_t bytes) {
    ChargeOutcome outcome = books_[slot].TryCharge(bytes);
    if (outcome != ChargeOutcome::kOverGrant) return outcome;
    outcome = grants_.AcquireAndCharge(slot, bytes);
    Show();
    return outcome;
  }
  void ChargeOverQuota(uint32_t slot, uint64_t bytes) {
    if (books_[slot].ChargeOverQuota(bytes) <= books_[slot].granted_bytes) return;
    grants_.Cover(slot, bytes);
    Show();
  }
  void Credit(uint32_t slot, uint64_t bytes) {
    const uint64_t charged = books_[slot].Credit(bytes);
    const UnifiedMemoryManager::Pools pools = state();
    const int64_t free =
        pools.execution_size + pools.storage_size - pools.execution_used - pools.storage_used;
    const uint64_t most = TaskGrants::MostIdle(bytes, free > 0 ? static_cast<uint64_t>(free) : 0);
    if (!TaskGrants::HasMuchIdle(books_[slot], charged, most, overdrawn_)) return;
    grants_.ReturnIdle(slot);
    Show();
  }
  void End(uint32_t slot) {
    books_[slot].state = TaskState::kEnded;
    grants_.EndTask(slot);
    Show();
  }

  TaskBook& book(uint32_t slot) { return books_[slot]; }
  uint64_t charged(uint32_t slot) const { return books_[slot].charged_bytes; }
  uint64_t granted(uint32_t slot) const { return books_[slot].granted_bytes; }
  TaskGrants& grants() { return grants_; }
  UnifiedMemoryManager& pools() { return pools_; }
  UnifiedMemoryManager::Pools state() const { return pools_.GetPools(kMode); }

  uint64_t SumOfGrants() const {
    uint64_t sum = 0;
    for (uint32_t slot = kFirstTaskSlot; slot < slots_; ++slot) sum += granted(slot);
    return sum;
  }
  uint64_t SumOfCharges() const {
    uint64_t sum = 0;
    for (uint32_t slot = kFirstTaskSlot; slot < slots_; ++slot) sum += charged(slot);
    return sum;
  }

  // What is so whenever no thread charges or credits.
  void ExpectAtRest() const {
    int64_t holders = 0;
    for (uint32_t slot = kFirstTaskSlot; slot < slots_; ++slot) {
      EXPECT_LE(charged(slot), granted(slot)) << "slot " << slot;
      EXPECT_EQ(pools_.GetExecutionMemoryUsageForTask(slot), static_cast<int64_t>(granted(slot)))
          << "slot " << slot;
      if (granted(slot) != 0 && books_[slot].state == TaskState::kLive) ++holders;
    }
    const UnifiedMemoryManager::Pools pools = state();
    EXPECT_EQ(pools.execution_used + pools.overdrawn, static_cast<int64_t>(SumOfGrants()));
    EXPECT_EQ(pools.active_tasks, holders);
  }

 private:
  void Show() {
    pools_.TryVisitPools(kMode, [this](const UnifiedMemoryManager::Pools& pools) {
      overdrawn_ = static_cast<uint64_t>(pools.overdrawn);
    });
  }

  static MemoryManagerOptions Options(uint64_t memory_bytes, Sharing sharing,
                                      const UnmanagedTotals* unmanaged) {
    MemoryManagerOptions options;
    options.max_off_heap_bytes = static_cast<int64_t>(memory_bytes);
    options.off_heap_storage_region_bytes = options.max_off_heap_bytes / 2;
    options.tungsten_mode = kMode;
    options.sharing = sharing;
    options.unmanaged = unmanaged;
    return options;
  }

  TaskBook books_[kFirstTaskSlot + kTasks] = {};
  std::atomic<uint64_t> overdrawn_{0};
  std::atomic<uint32_t> slots_{kFirstTaskSlot + kTasks};
  UnmanagedTotals unmanaged_;
  UnifiedMemoryManager pools_;
  TaskGrants grants_;
};

constexpr uint32_t kA = Process::kA;
constexpr uint32_t kB = Process::kB;
constexpr uint32_t kC = Process::kC;
constexpr ChargeOutcome kCharged = ChargeOutcome::kCharged;
constexpr ChargeOutcome kOverGrant = ChargeOutcome::kOverGrant;
constexpr ChargeOutcome kOverQuota = ChargeOutcome::kOverQuota;

TEST(TaskGrants, AChargeAcquiresAQuantumMore) {
  Process process(kGiB);
  EXPECT_EQ(process.Charge(kA, 100), kCharged);
  EXPECT_EQ(process.charged(kA), 100u);
  EXPECT_EQ(process.granted(kA), 100 + kQuantum);
  EXPECT_EQ(process.book(kA).peak_charged_bytes, 100u);
  // What follows is served by the book alone.
  EXPECT_EQ(process.book(kA).TryCharge(kQuantum), kCharged);
  EXPECT_EQ(process.book(kA).TryCharge(1), kOverGrant);
  process.ExpectAtRest();
}

TEST(TaskGrants, TheQuantumGrowsWithTheTask) {
  Process process(kGiB);
  EXPECT_EQ(process.Charge(kA, 5 * kMiB), kCharged);
  EXPECT_EQ(process.granted(kA), 5 * kMiB + kQuantum);
  EXPECT_EQ(process.Charge(kA, 2 * kMiB), kCharged);
  EXPECT_EQ(process.granted(kA), 7 * kMiB + (5 * kMiB + kQuantum) / 4);
  EXPECT_EQ(process.Charge(kA, 100 * kMiB), kCharged);
  const uint64_t granted = process.granted(kA);
  EXPECT_EQ(process.Charge(kA, 100 * kMiB), kCharged);
  EXPECT_EQ(process.granted(kA), process.charged(kA) + TaskGrants::kMaxQuantumBytes);
  EXPECT_GT(process.granted(kA), granted);
  process.ExpectAtRest();
}

TEST(TaskGrants, NothingIsAcquiredBeyondTheQuota) {
  Process process(kGiB);
  process.book(kA).quota_bytes = 1000;
  EXPECT_EQ(process.Charge(kA, 600), kCharged);
  EXPECT_EQ(process.granted(kA), 1000u);
  EXPECT_EQ(process.Charge(kA, 401), kOverQuota);
  EXPECT_EQ(process.charged(kA), 600u);
  EXPECT_EQ(process.Charge(kA, 400), kCharged);
  EXPECT_EQ(process.Charge(kA, 1), kOverQuota);
  EXPECT_EQ(process.grants().AcquireAndCharge(kA, 1), kOverQuota) << "lowered meanwhile";
  process.ExpectAtRest();
}

TEST(TaskGrants, TheLastBytesArePoorerThanAQuantum) {
  Process process(100 * kKiB);
  EXPECT_EQ(process.Charge(kA, 90 * kKiB), kCharged);
  EXPECT_EQ(process.granted(kA), 100 * kKiB);
  EXPECT_EQ(process.Charge(kA, 10 * kKiB), kCharged);
  EXPECT_EQ(process.Charge(kA, 1), kOverGrant);
  EXPECT_EQ(process.charged(kA), 100 * kKiB);
  process.ExpectAtRest();
}

TEST(TaskGrants, WhatIsRefusedLeavesNothingBehind) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kA, kMiB + 1), kOverGrant);
  EXPECT_EQ(process.Charge(kA, UINT64_MAX), kOverGrant);
  EXPECT_EQ(process.Charge(kA, uint64_t{INT64_MAX} + 1), kOverGrant);
  EXPECT_EQ(process.charged(kA), 0u);
  EXPECT_EQ(process.granted(kA), 0u);
  EXPECT_EQ(process.book(kA).peak_charged_bytes, 0u);
  EXPECT_EQ(process.state().active_tasks, 0) << "it holds nothing";
  EXPECT_EQ(process.Charge(kA, kMiB), kCharged);
  process.ExpectAtRest();
}

TEST(TaskGrants, TasksTogetherGetNoMoreThanThereIs) {
  Process process(10 * kMiB);
  EXPECT_EQ(process.Charge(kA, 4 * kMiB), kCharged);
  EXPECT_EQ(process.Charge(kB, 5 * kMiB), kCharged);
  EXPECT_EQ(process.Charge(kC, 2 * kMiB), kOverGrant);
  EXPECT_EQ(process.Charge(kC, kMiB), kCharged) << "to the last byte, which was granted ahead";
  EXPECT_EQ(process.SumOfGrants(), 10 * kMiB);
  process.Credit(kA, 4 * kMiB);
  EXPECT_EQ(process.Charge(kC, 4 * kMiB), kCharged);
  process.ExpectAtRest();
}

TEST(TaskGrants, MuchIsMoreThanAFewMiB) {
  TaskBook book = {};
  std::atomic<uint64_t> overdrawn{0};
  uint64_t credited = 0;
  uint64_t room = kGiB;
  const auto has_much_idle = [&](uint64_t charged) {
    return TaskGrants::HasMuchIdle(book, charged, TaskGrants::MostIdle(credited, room), overdrawn);
  };
  book.state = TaskState::kLive;
  book.granted_bytes = kNoPool;
  EXPECT_FALSE(has_much_idle(0));
  book.granted_bytes = TaskGrants::kMaxIdleBytes;
  EXPECT_FALSE(has_much_idle(0));
  book.granted_bytes = TaskGrants::kMaxIdleBytes + 1;
  EXPECT_TRUE(has_much_idle(0));
  EXPECT_FALSE(has_much_idle(1));
  book.granted_bytes = kGiB;
  EXPECT_FALSE(has_much_idle(kGiB - TaskGrants::kMaxIdleBytes));
  EXPECT_TRUE(has_much_idle(kGiB - TaskGrants::kMaxIdleBytes - 1));
  EXPECT_FALSE(has_much_idle(2 * kGiB)) << "charged beyond it meanwhile";
  credited = 5 * kMiB;
  EXPECT_FALSE(has_much_idle(kGiB - 24 * kMiB)) << "four such blocks more";
  EXPECT_TRUE(has_much_idle(kGiB - 24 * kMiB - 1));
  credited = kGiB;
  EXPECT_FALSE(has_much_idle(kGiB - 68 * kMiB)) << "not many of very large ones";
  EXPECT_TRUE(has_much_idle(kGiB - 68 * kMiB - 1));
  room = 80 * kMiB;
  EXPECT_FALSE(has_much_idle(kGiB - 14 * kMiB)) << "a part of what is left for others";
  EXPECT_TRUE(has_much_idle(kGiB - 14 * kMiB - 1));
  credited = 0;
  overdrawn = 1;
  EXPECT_TRUE(has_much_idle(kGiB - 1));
  EXPECT_FALSE(has_much_idle(kGiB));
  book.granted_bytes = kNoPool;
  EXPECT_FALSE(has_much_idle(0));
  overdrawn = 0;

  book.state = TaskState::kEnded;
  book.granted_bytes = kMiB;
  EXPECT_TRUE(has_much_idle(kMiB - TaskGrants::kEndedIdleBytes));
  EXPECT_FALSE(has_much_idle(kMiB - TaskGrants::kEndedIdleBytes + 1));
  book.granted_bytes = 1;
  EXPECT_TRUE(has_much_idle(0)) << "the last byte";
  book.granted_bytes = 0;
  EXPECT_FALSE(has_much_idle(0));
}

TEST(TaskGrants, AQuantumIsKeptWhenIdleMemoryGoesBack) {
  Process process(kGiB);
  EXPECT_EQ(process.Charge(kA, 100 * kMiB), kCharged);
  process.Credit(kA, 94 * kMiB);
  EXPECT_EQ(process.granted(kA), 6 * kMiB + 6 * kMiB / 4);
  // In small steps: little is kept. In one: as it was.
  process.Credit(kA, 3 * kMiB);
  EXPECT_EQ(process.granted(kA), 6 * kMiB + 6 * kMiB / 4);
  for (int i = 0; i < 12; ++i) process.Credit(kA, kMiB / 4);
  EXPECT_LE(process.granted(kA), TaskGrants::kMaxIdleBytes + kMiB);
  process.ExpectAtRest();
}

TEST(TaskGrants, BlocksLargerThanWhatIsIdleComeAndGoWithoutThePools) {
  Process process(kGiB);
  EXPECT_EQ(process.Charge(kA, 8 * kMiB), kCharged);
  process.Credit(kA, 8 * kMiB);
  const uint64_t granted = process.granted(kA);
  EXPECT_GE(granted, 8 * kMiB);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(process.Charge(kA, 8 * kMiB), kCharged);
    process.Credit(kA, 8 * kMiB);
    EXPECT_EQ(process.granted(kA), granted);
  }
  // Others get it as soon as they are short of it.
  EXPECT_EQ(process.Charge(kB, kGiB), kCharged);
  EXPECT_EQ(process.granted(kA), 0u);
  process.ExpectAtRest();
}

TEST(TaskGrants, ATaskThatGoesUpAndDownALittleLeavesThePoolsAlone) {
  Process process(kGiB);
  EXPECT_EQ(process.Charge(kA, 10 * kMiB), kCharged);
  process.Credit(kA, kMiB);
  EXPECT_EQ(process.Charge(kA, kMiB), kCharged);
  const uint64_t granted = process.granted(kA);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(process.book(kA).TryCharge(kQuantum / 2), kCharged);
    process.Credit(kA, kQuantum / 2);
    EXPECT_EQ(process.granted(kA), granted);
  }
}

TEST(TaskGrants, ReturningWhatIsNotIdleDoesNothing) {
  Process process(kGiB);
  process.grants().ReturnIdle(kA);
  process.grants().ReturnIdle(kUntrackedSlot);
  EXPECT_EQ(process.granted(kUntrackedSlot), kNoPool);
  EXPECT_EQ(process.Charge(kA, 100), kCharged);
  process.grants().ReturnIdle(kA);
  EXPECT_EQ(process.granted(kA), 100 + kQuantum);
  process.ExpectAtRest();
}

TEST(TaskGrants, AllThatIsIdleGoesBackBeforeAnotherTaskIsRefused) {
  Process process(kMiB);
  for (const uint32_t slot : {kA, kB}) {
    EXPECT_EQ(process.Charge(slot, 300 * kKiB), kCharged);
    process.book(slot).Credit(299 * kKiB);  // by a signal handler, say: nothing goes back
  }
  EXPECT_EQ(process.Charge(kC, kMiB - 2 * kKiB), kCharged);
  EXPECT_EQ(process.granted(kA), kKiB);
  EXPECT_EQ(process.granted(kB), kKiB);
  EXPECT_EQ(process.Charge(kC, 1), kOverGrant);
  process.ExpectAtRest();
}

TEST(TaskGrants, ATasksOwnIdleMemoryCountsForIt) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kA, kMiB), kCharged);
  process.book(kA).Credit(kMiB - 1);
  EXPECT_EQ(process.Charge(kA, kMiB), kOverGrant);
  EXPECT_EQ(process.Charge(kA, kMiB - 1), kCharged);
  process.ExpectAtRest();
}

TEST(TaskGrants, WhoAsksForIdleMemoryKeepsItsOwn) {
  Process process(kGiB);
  for (const uint32_t slot : {kA, kB}) EXPECT_EQ(process.Charge(slot, 100), kCharged);
  const int64_t requester = kA;
  process.grants().ReturnIdleGrants(kMode, &requester);
  EXPECT_EQ(process.granted(kA), 100 + kQuantum);
  EXPECT_EQ(process.granted(kB), 100u);
  process.ExpectAtRest();
}

TEST(TaskGrants, IdleMemoryOfTheOtherModeIsNobodysConcern) {
  Process process(kGiB);
  EXPECT_EQ(process.Charge(kA, 100), kCharged);
  process.grants().ReturnIdleGrants(MemoryMode::kOnHeap, nullptr);
  EXPECT_EQ(process.granted(kA), 100 + kQuantum);
  process.grants().ReturnIdleGrants(kMode, nullptr);
  EXPECT_EQ(process.granted(kA), 100u);
  EXPECT_EQ(process.granted(kUntrackedSlot), kNoPool);
  EXPECT_EQ(process.granted(kEndedTasksSlot), kNoPool);
  process.ExpectAtRest();
}

TEST(TaskGrants, IdleMemoryMakesRoomForBlocks) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kA, 900 * kKiB), kCharged);
  process.book(kA).Credit(900 * kKiB - 1);
  const Result<bool> stored =
      process.pools().AcquireStorageMemory("rdd_0_0", int64_t{kMiB} - 1, kMode);
  ASSERT_TRUE(stored.ok());
  EXPECT_TRUE(*stored);
  EXPECT_EQ(process.granted(kA), 1u);
}

TEST(TaskGrants, ATaskThatWaitsGetsIdleMemoryAtOnce) {
  // A task outside the books waits for 1/2N; A, with half, has nothing to give.
  Process process(kMiB, Sharing::kSpark);
  constexpr int64_t kOutside = 1000;
  EXPECT_EQ(process.Charge(kA, kMiB), kCharged);
  std::atomic<int64_t> got{-1};
  std::thread waits([&] {
    ExecutionRequest request;
    request.bytes = 100 * kKiB;
    request.task = kOutside;
    request.mode = kMode;
    got = *process.pools().AcquireExecutionMemory(request);
  });
  while (process.pools().WaitingThreads() == 0) std::this_thread::yield();
  process.book(kA).Credit(200 * kKiB);
  process.grants().ReturnIdle(kA);
  waits.join();
  EXPECT_EQ(got, int64_t{100 * kKiB});
  EXPECT_EQ(process.granted(kA), process.charged(kA)) << "no quantum is kept";
}

TEST(TaskGrants, AnEndedTaskKeepsWhatItLeftBehindAndNoPlaceInN) {
  Process process(kMiB, Sharing::kSpark);
  EXPECT_EQ(process.Charge(kA, 100 * kKiB), kCharged);
  EXPECT_EQ(process.Charge(kB, 100 * kKiB), kCharged);
  EXPECT_EQ(process.state().active_tasks, 2);
  process.End(kA);
  EXPECT_EQ(process.granted(kA), 100 * kKiB);
  EXPECT_EQ(process.state().active_tasks, 1);
  process.ExpectAtRest();
  EXPECT_EQ(process.Charge(kB, 824 * kKiB), kCharged) << "all but what A left";
  EXPECT_EQ(process.Charge(kB, 1), kOverGrant);

  // It goes as it is freed, page by page, and to the last byte.
  process.Credit(kA, 50 * kKiB);
  EXPECT_EQ(process.granted(kA), 50 * kKiB);
  process.Credit(kA, TaskGrants::kEndedIdleBytes - 1);
  EXPECT_EQ(process.granted(kA), 50 * kKiB);
  process.Credit(kA, 1);
  EXPECT_EQ(process.granted(kA), 50 * kKiB - TaskGrants::kEndedIdleBytes);
  process.Credit(kA, process.charged(kA) - 1);
  process.Credit(kA, 1);
  EXPECT_EQ(process.granted(kA), 0u);
  process.ExpectAtRest();
}

TEST(TaskGrants, AnEndedTaskWithNothingLeavesNothing) {
  Process process(kMiB);
  process.End(kC);
  EXPECT_EQ(process.Charge(kA, 100), kCharged);
  process.Credit(kA, 100);
  EXPECT_EQ(process.granted(kA), kMiB) << "all there is, kept for the next";
  EXPECT_EQ(process.state().active_tasks, 1);
  process.End(kA);
  EXPECT_EQ(process.granted(kA), 0u);
  EXPECT_EQ(process.state().active_tasks, 0);
  process.ExpectAtRest();
}

TEST(TaskGrants, AForgottenSlotHoldsNothing) {
  Process process(kMiB);
  process.grants().Forget(kA);
  EXPECT_EQ(process.Charge(kA, 100 * kKiB), kCharged);
  process.End(kA);
  process.book(kA).Credit(100 * kKiB);
  process.grants().Forget(kA);
  EXPECT_EQ(process.granted(kA), 0u);
  EXPECT_EQ(process.state().execution_used, 0);
  process.book(kB).granted_bytes = kNoPool;  // begun before there were pools
  process.grants().Forget(kB);
  EXPECT_EQ(process.granted(kB), 0u);
  EXPECT_EQ(process.state().execution_used, 0);
  process.ExpectAtRest();
}

TEST(TaskGrants, WhatPolicyLetsThroughIsCoveredFirst) {
  Process process(kMiB);
  process.book(kA).quota_bytes = 1000;
  process.ChargeOverQuota(kA, 100 * kKiB);
  EXPECT_EQ(process.granted(kA), 100 * kKiB) << "and nothing ahead";
  EXPECT_EQ(process.state().overdrawn, 0);
  process.ExpectAtRest();
  process.ChargeOverQuota(kB, 10);
  process.grants().Cover(kB, 10);
  EXPECT_EQ(process.granted(kB), 10u) << "nothing to cover";
}

TEST(TaskGrants, WhatThePoolsCannotCoverIsOverdrawn) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kA, kMiB - 100), kCharged);
  process.ChargeOverQuota(kA, 300);
  EXPECT_EQ(process.charged(kA), kMiB + 200);
  EXPECT_EQ(process.granted(kA), kMiB + 200);
  EXPECT_EQ(process.state().execution_used, int64_t{kMiB});
  EXPECT_EQ(process.state().overdrawn, 200);
  EXPECT_EQ(process.Charge(kB, 1), kOverGrant);
  process.ExpectAtRest();

  // What is overdrawn goes first.
  process.Credit(kA, 250);
  process.grants().ReturnIdleGrants(kMode, nullptr);
  EXPECT_EQ(process.state().overdrawn, 0);
  EXPECT_EQ(process.Charge(kB, 51), kOverGrant);
  EXPECT_EQ(process.Charge(kB, 50), kCharged);
  process.ExpectAtRest();
}

// Else it would be charged again as if it were the pools' to give.
TEST(TaskGrants, WhileAnythingIsOverdrawnNothingIdleIsKept) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kA, kMiB), kCharged);
  process.ChargeOverQuota(kA, 200);
  process.Credit(kA, 150);
  EXPECT_EQ(process.granted(kA), kMiB + 50);
  EXPECT_EQ(process.Charge(kA, 100), kOverGrant);
  process.Credit(kA, 150);
  EXPECT_EQ(process.state().overdrawn, 0);
  EXPECT_EQ(process.Charge(kA, 101), kOverGrant);
  EXPECT_EQ(process.Charge(kA, 100), kCharged);
  process.ExpectAtRest();
}

TEST(TaskGrants, OverdrawnMemoryOfOneTaskIsMemoryOthersDoNotGet) {
  Process process(kMiB);
  process.ChargeOverQuota(kA, 2 * kMiB);
  EXPECT_EQ(process.state().overdrawn + process.state().execution_used, int64_t{2 * kMiB});
  EXPECT_EQ(process.Charge(kB, 1), kOverGrant);
  process.Credit(kA, kMiB);
  EXPECT_EQ(process.Charge(kB, 1), kOverGrant);
  process.Credit(kA, kMiB);
  EXPECT_EQ(process.Charge(kB, kMiB), kCharged);
  process.ExpectAtRest();
}

// Memory was short for a moment, and is not any more: what was overdrawn meanwhile is held once.
TEST(TaskGrants, ATaskThatHasOverdrawnGetsAllThatIsFree) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kUntrackedSlot, 900 * kKiB), kCharged);
  process.ChargeOverQuota(kB, 300 * kKiB);
  EXPECT_EQ(process.state().overdrawn, int64_t{300 * kKiB});
  process.Credit(kUntrackedSlot, 900 * kKiB);
  EXPECT_EQ(process.Charge(kB, kMiB - 300 * kKiB + 1), kOverGrant);
  EXPECT_EQ(process.Charge(kB, kMiB - 300 * kKiB), kCharged);
  EXPECT_EQ(process.Charge(kA, 1), kOverGrant);
  process.ExpectAtRest();
}

TEST(TaskGrants, ABookThatDrawsOnNoPoolNeedsNoCover) {
  Process process(kMiB);
  process.ChargeOverQuota(kUntrackedSlot, kGiB);
  process.grants().Cover(kUntrackedSlot, kGiB);
  EXPECT_EQ(process.granted(kUntrackedSlot), kNoPool);
  EXPECT_EQ(process.state().overdrawn, 0);
}

TEST(TaskGrants, WhatNoTaskOwnsLowersWhatTasksGet) {
  Process process(kMiB);
  EXPECT_EQ(process.Charge(kUntrackedSlot, 300 * kKiB), kCharged);
  process.ChargeOverQuota(kEndedTasksSlot, 200 * kKiB);
  EXPECT_EQ(process.Charge(kA, kMiB - 500 * kKiB + 1), kOverGrant);
  EXPECT_EQ(process.Charge(kA, kMiB - 500 * kKiB), kCharged);
  EXPECT_EQ(process.Charge(kUntrackedSlot, kGiB), kCharged) << "and is never refused itself";
  EXPECT_EQ(process.Charge(kB, 1), kOverGrant);
  process.Credit(kUntrackedSlot, kGiB + 300 * kKiB);
  EXPECT_EQ(process.Charge(kB, 300 * kKiB), kCharged);
  process.ExpectAtRest();
}

TEST(TaskGrants, SharingCapsATaskAtItsPart) {
  Process process(kMiB, Sharing::kSpark);
  EXPECT_EQ(process.Charge(kA, 100), kCharged);
  EXPECT_EQ(process.Charge(kB, 100), kCharged);
  EXPECT_EQ(process.Charge(kA, kMiB / 2 - 99), kOverGrant);
  EXPECT_EQ(process.Charge(kA, kMiB / 2 - 100), kCharged);
  EXPECT_EQ(process.Charge(kA, 1), kOverGrant);
  // Who holds nothing, not even idle memory, does not count.
  process.Credit(kB, 100);
  EXPECT_EQ(process.Charge(kA, kMiB / 2), kCharged);
  EXPECT_EQ(process.Charge(kB, 1), kOverGrant) << "all is taken";
  EXPECT_EQ(process.state().active_tasks, 1);
  process.ExpectAtRest();
}

TEST(TaskGrants, RebuildDrawsForTheBooksAsTheyStand) {
  Process process(kMiB, Sharing::kSpark);
  EXPECT_EQ(process.Charge(kA, 100 * kKiB), kCharged);
  EXPECT_EQ(process.Charge(kB, 200 * kKiB), kCharged);
  EXPECT_EQ(process.Charge(kC, 300), kCharged);
  process.End(kB);
  // As a fork child finds it, where another thread was amid a charge.
  process.book(kA).charged_bytes += 1000;
  process.book(kC).charged_bytes = 0;
  process.pools().ResetAfterFork();
  process.grants().Rebuild();
  EXPECT_EQ(process.granted(kA), 100 * kKiB + 1000);
  EXPECT_EQ(process.granted(kB), 200 * kKiB);
  EXPECT_EQ(process.granted(kC), 0u);
  EXPECT_EQ(process.state().active_tasks, 1);
  process.ExpectAtRest();
  EXPECT_EQ(process.Charge(kC, kMiB / 2), kCharged);
}

TEST(TaskGrants, RebuildOverdrawsWhereTheBooksHoldMore) {
  Process process(kMiB);
  for (const uint32_t slot : {kA, kB}) {
    process.book(slot).granted_bytes = kNoPool;  // begun before there were pools
    EXPECT_EQ(process.Charge(slot, 700 * kKiB), kCharged);
  }
  process.grants().Rebuild();
  EXPECT_EQ(process.granted(kA), 700 * kKiB);
  EXPECT_EQ(process.granted(kB), 700 * kKiB);
  EXPECT_EQ(process.state().execution_used + process.state().overdrawn, int64_t{1400 * kKiB});
  EXPECT_GE(process.state().overdrawn, int64_t{376 * kKiB});
  EXPECT_EQ(process.Charge(kA, 1), kOverGrant);
  process.ExpectAtRest();
}

// A request the pools refuse is refused, whatever other threads of the task do meanwhile.
TEST(TaskGrants, NobodyElsePaysForWhatIsRefused) {
  constexpr uint64_t kHuge = uint64_t{1} << 40;
  Process process(kMiB);
  std::atomic<bool> stop{false};
  std::thread overdraws([&] {
    while (!stop) {
      process.ChargeOverQuota(kA, 100);
      process.Credit(kA, 100);
    }
  });
  std::thread charges([&] {
    while (!stop) {
      if (process.Charge(kA, 100) == kCharged) {
        process.Credit(kA, 100);
      } else {
        ADD_FAILURE() << "there was room for it";
        return;
      }
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    if (process.Charge(kA, kHuge) == kCharged) {
      ADD_FAILURE() << "charged at round " << i;
      process.Credit(kA, kHuge);
      break;
    }
  }
  stop = true;
  overdraws.join();
  charges.join();
  EXPECT_LT(process.book(kA).peak_charged_bytes, kMiB);
  process.ExpectAtRest();
  EXPECT_EQ(process.state().overdrawn, 0);
}

struct Load {
  Sharing sharing;
  bool overdraws;  // some charges are let through
  bool ends;       // tasks end and their slots are forgotten and begun again
};

class TaskGrantsUnderLoad : public testing::TestWithParam<Load> {};

TEST_P(TaskGrantsUnderLoad, KeepTheBooks) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 20;
  constexpr int kSteps = 2000;
  constexpr uint64_t kMemory = 4 * kMiB;
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Process process(kMemory, GetParam().sharing);
  process.book(kA).quota_bytes = kMiB;
  std::vector<std::vector<uint64_t>> held(kThreads, std::vector<uint64_t>(Process::kTasks));
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        std::mt19937_64 random(seed + static_cast<uint64_t>(round * kThreads + i));
        std::vector<uint64_t>& mine = held[static_cast<size_t>(i)];
        for (int step = 0; step < kSteps; ++step) {
          const auto task = static_cast<uint32_t>(random() % Process::kTasks);
          const uint32_t slot = kFirstTaskSlot + task;
          const uint64_t kind = random() % 100;
          const uint64_t bytes = kind < 90 ? random() % 10'000 : random() % 500'000;
          if (kind % 2 == 0) {
            if (process.Charge(slot, bytes) == kCharged) mine[task] += bytes;
          } else if (GetParam().overdraws && kind % 16 == 1) {
            process.ChargeOverQuota(slot, bytes);
            mine[task] += bytes;
          } else if (kind == 3) {
            process.Credit(slot, mine[task]);
            mine[task] = 0;
          } else if (kind == 5) {
            process.Charge(kUntrackedSlot, bytes);
            process.Credit(kUntrackedSlot, bytes);
          } else {
            const uint64_t credit = std::min(bytes, mine[task]);
            process.Credit(slot, credit);
            mine[task] -= credit;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();

    for (uint32_t task = 0; task < Process::kTasks; ++task) {
      uint64_t sum = 0;
      for (const std::vector<uint64_t>& mine : held) sum += mine[task];
      EXPECT_EQ(process.charged(kFirstTaskSlot + task), sum);
    }
    process.ExpectAtRest();
    if (!GetParam().overdraws) {
      EXPECT_EQ(process.state().overdrawn, 0);
      EXPECT_LE(process.SumOfGrants(), kMemory);
      EXPECT_LE(process.charged(kA), kMiB);
    }
    // What was overdrawn and has been credited since is repaid.
    if (GetParam().overdraws) process.grants().ReturnIdleGrants(kMode, nullptr);
    // Memory that is free is never a reason to refuse.
    const uint64_t charged = process.SumOfCharges();
    if (GetParam().sharing == Sharing::kNone && charged < kMemory) {
      EXPECT_EQ(process.Charge(kB, kMemory - charged), kCharged);
      EXPECT_EQ(process.Charge(kB, 1), kOverGrant);
      process.Credit(kB, kMemory - charged);
    }
    if (GetParam().ends) {
      const auto task = static_cast<uint32_t>(round) % Process::kTasks;
      const uint32_t slot = kFirstTaskSlot + task;
      process.End(slot);
      process.ExpectAtRest();
      for (std::vector<uint64_t>& mine : held) {
        process.Credit(slot, mine[task]);
        mine[task] = 0;
      }
      EXPECT_EQ(process.granted(slot), 0u);
      process.grants().Forget(slot);
      process.book(slot).state = TaskState::kLive;
    }
    if (HasFailure()) return;
  }
  for (int i = 0; i < kThreads; ++i) {
    for (uint32_t task = 0; task < Process::kTasks; ++task) {
      process.Credit(kFirstTaskSlot + task, held[static_cast<size_t>(i)][task]);
    }
  }
  process.grants().ReturnIdleGrants(kMode, nullptr);
  EXPECT_EQ(process.SumOfCharges(), 0u);
  EXPECT_EQ(process.SumOfGrants(), 0u);
  process.ExpectAtRest();
}

INSTANTIATE_TEST_SUITE_P(, TaskGrantsUnderLoad,
                         testing::Values(Load{Sharing::kNone, false, false},
                                         Load{Sharing::kNone, true, false},
                                         Load{Sharing::kNone, true, true},
                                         Load{Sharing::kSpark, false, true},
                                         Load{Sharing::kSpark, true, true}),
                         [](const auto& info) {
                           const Load& load = info.param;
                           return std::string(load.sharing == Sharing::kNone ? "none" : "spark") +
                                  (load.overdraws ? "_overdraws" : "") + (load.ends ? "_ends" : "");
                         });

// Tasks that end while other threads still free what they left.
TEST(TaskGrants, EndsAndCreditsMeet) {
  constexpr uint64_t kBlock = 5000;
  constexpr int kRounds = 2000;
  Process process(kMiB);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < 20; ++i) ASSERT_EQ(process.Charge(kA, kBlock), kCharged);
    std::thread frees([&] {
      for (int i = 0; i < 10; ++i) process.Credit(kA, kBlock);
    });
    process.End(kA);
    for (int i = 0; i < 10; ++i) process.Credit(kA, kBlock);
    frees.join();
    // What a credit that met the end left goes when the slot does.
    process.grants().Forget(kA);
    EXPECT_EQ(process.charged(kA), 0u);
    process.book(kA).state = TaskState::kLive;
    process.ExpectAtRest();
    EXPECT_EQ(process.state().execution_used, 0);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(TaskGrants, SlackCountsAgainstTheMemoryUntilItIsGivenBack) {
  Process process(64 * kMiB);
  process.grants().NoteSlack(static_cast<int64_t>(40 * kMiB));
  EXPECT_EQ(process.Charge(kA, 30 * kMiB), kOverGrant);
  EXPECT_EQ(process.Charge(kA, 20 * kMiB), kCharged);
  process.grants().NoteSlack(0);
  EXPECT_EQ(process.Charge(kA, 30 * kMiB), kCharged);
  process.ExpectAtRest();
}

TEST(TaskGrants, WhatIsLentIsHadAndGoesBackWithIt) {
  Process process(64 * kMiB);
  EXPECT_EQ(process.Charge(kA, 60 * kMiB), kCharged);
  EXPECT_EQ(process.Charge(kB, kGiB), kOverGrant);
  constexpr auto kKeep = static_cast<int64_t>(4 * kMiB);
  ASSERT_TRUE(process.pools().Lend(static_cast<int64_t>(kGiB) + kKeep, kKeep, kMode));
  EXPECT_EQ(process.Charge(kB, kGiB), kCharged);
  process.pools().EndLending(kMode);
  process.ExpectAtRest();
  EXPECT_GE(process.state().lent, static_cast<int64_t>(kGiB - 4 * kMiB));
  EXPECT_EQ(process.state().execution_size + process.state().storage_size,
            static_cast<int64_t>(64 * kMiB) + process.state().lent);
  // What is lent is no room for others.
  EXPECT_EQ(process.Charge(kC, 32 * kMiB), kOverGrant);
  process.Credit(kB, kGiB);
  process.ExpectAtRest();
  EXPECT_LE(process.state().lent, kKeep);
  process.Credit(kA, 60 * kMiB);
  EXPECT_EQ(process.state().lent, 0);
  EXPECT_EQ(process.state().execution_size + process.state().storage_size,
            static_cast<int64_t>(64 * kMiB));
}

TEST(TaskGrants, NothingLentGoesBackBeforeItIsHad) {
  Process process(64 * kMiB);
  EXPECT_EQ(process.Charge(kA, 60 * kMiB), kCharged);
  ASSERT_TRUE(process.pools().Lend(static_cast<int64_t>(kGiB), 0, kMode));
  process.Credit(kA, 60 * kMiB);  // another thread
  EXPECT_EQ(process.Charge(kB, kGiB), kCharged);
  process.pools().EndLending(kMode);
  process.Credit(kB, kGiB);
  process.End(kB);
  EXPECT_EQ(process.state().lent, 0);
  process.ExpectAtRest();
}

TEST(TaskGrants, SumsOfWhatIsLentDoNotOverflow) {
  Process process(64 * kMiB);
  EXPECT_FALSE(process.pools().Lend(INT64_MAX, 0, kMode));
  EXPECT_FALSE(process.pools().Lend(-1, 0, kMode));
  EXPECT_EQ(process.state().lent, 0);
}

}  // namespace
}  // namespace taskmem
