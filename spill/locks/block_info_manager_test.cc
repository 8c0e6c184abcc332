#include "spill/locks/block_info_manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "accounting/pools/manager_testing.h"
#include "spill/names/block_testing.h"

namespace taskmem {
namespace {

using Outcome = StoreResult<LockOutcome>;

constexpr LockWait kLong = {.timeout_ns = kTestTimeoutNs, .cancellation = nullptr};

// Spark's BlockInfoManagerSuite, by the ids of its tests, and what it does not test.
class BlockInfoManagerTest : public ::testing::TestWithParam<Compatibility> {
 protected:
  BlockInfoManagerTest() : infos_({.compatibility = GetParam()}) {
    for (int64_t task = 0; task <= 4; ++task) EXPECT_FALSE(infos_.RegisterTask(task));
  }

  bool IsSpark() const { return GetParam() == Compatibility::kSpark; }

  bool New(int64_t task, bool keep = true) {
    const StoreResult<bool> is_new =
        infos_.LockNewBlockForWriting(id_, StorageLevel::MemoryOnly(), task, keep, kLong);
    EXPECT_TRUE(is_new.ok()) << static_cast<int>(is_new.error().code);
    return *is_new;
  }
  LockOutcome TryRead(int64_t task) { return Value(infos_.LockForReading(id_, task, None())); }
  LockOutcome TryWrite(int64_t task) { return Value(infos_.LockForWriting(id_, task, None())); }
  LockOutcome Read(int64_t task) { return Value(infos_.LockForReading(id_, task, kLong)); }
  LockOutcome Write(int64_t task) { return Value(infos_.LockForWriting(id_, task, kLong)); }
  StoreErrorCode Unlock(int64_t task) { return infos_.Unlock(id_, task).code; }
  StoreErrorCode Downgrade(int64_t task) { return infos_.DowngradeLock(id_, task).code; }
  StoreErrorCode Remove(int64_t task) { return infos_.RemoveBlock(id_, task).code; }

  // "1/0": the writer and how many read; "" where there is no block.
  std::string Locks() {
    BlockInfo info = {};
    if (!infos_.Get(id_, &info)) return "";
    return std::to_string(info.writer) + "/" + std::to_string(info.readers);
  }

  static LockWait None() { return LockWait::None(); }
  static LockOutcome Value(const Outcome& outcome) {
    EXPECT_TRUE(outcome.ok()) << static_cast<int>(outcome.error().code);
    return *outcome;
  }

  // Begins a call that must wait, and returns when it does.
  template <typename Call>
  std::thread Begin(Call call) {
    const int waiting = infos_.WaitingThreads();
    std::thread thread(call);
    while (infos_.WaitingThreads() == waiting) std::this_thread::yield();
    return thread;
  }

  const BlockId id_ = Id("test_block");
  BlockInfoManager infos_;
};

constexpr LockOutcome kLocked = LockOutcome::kLocked;
constexpr LockOutcome kAbsent = LockOutcome::kAbsent;
constexpr LockOutcome kBusy = LockOutcome::kBusy;

TEST_P(BlockInfoManagerTest, B1_IsEmptyAtFirst) { EXPECT_EQ(infos_.size(), 0); }

TEST_P(BlockInfoManagerTest, B2_MissingBlockIsNone) {
  BlockInfo info = {};
  EXPECT_FALSE(infos_.Get(id_, &info));
  EXPECT_EQ(Read(0), kAbsent);
  EXPECT_EQ(Write(0), kAbsent);
  EXPECT_EQ(TryRead(0), kAbsent);
  EXPECT_EQ(TryWrite(0), kAbsent);
}

TEST_P(BlockInfoManagerTest, B3_NewBlock) {
  const int64_t entries = infos_.NumberOfMapEntries();
  EXPECT_TRUE(New(1));
  EXPECT_EQ(Locks(), "1/0");
  EXPECT_EQ(Downgrade(1), StoreErrorCode::kNone);
  EXPECT_EQ(Locks(), "-1/1");
  EXPECT_FALSE(New(1));
  EXPECT_EQ(Locks(), "-1/2");
  EXPECT_EQ(Unlock(1), StoreErrorCode::kNone);
  EXPECT_EQ(Unlock(1), StoreErrorCode::kNone);
  EXPECT_EQ(Locks(), "-1/0");
  EXPECT_EQ(infos_.NumberOfMapEntries(), entries + 1);
}

TEST_P(BlockInfoManagerTest, B4_TwoWaitForANewBlockThatIsDowngraded) {
  EXPECT_TRUE(New(0));
  bool first = true;
  bool second = true;
  std::thread t1 = Begin([&] { first = New(1); });
  std::thread t2 = Begin([&] { second = New(2); });
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  t1.join();
  t2.join();
  EXPECT_FALSE(first);
  EXPECT_FALSE(second);
  EXPECT_EQ(Locks(), "-1/3");
}

TEST_P(BlockInfoManagerTest, B5_TwoWaitForANewBlockThatVanishes) {
  EXPECT_TRUE(New(0));
  std::optional<bool> first;
  std::optional<bool> second;
  std::thread t1 = Begin([&] { first = New(1); });
  std::thread t2 = Begin([&] { second = New(2); });
  EXPECT_EQ(Remove(0), StoreErrorCode::kNone);
  t1.join();
  EXPECT_EQ(first, true);
  EXPECT_EQ(infos_.WaitingThreads(), 1);
  EXPECT_EQ(Locks(), "1/0");
  EXPECT_EQ(Unlock(1), StoreErrorCode::kNone);
  t2.join();
  EXPECT_EQ(second, false);
  EXPECT_EQ(Locks(), "-1/1");
}

TEST_P(BlockInfoManagerTest, B5_TheBlockHasTheLevelOfWhoRegisteredIt) {
  EXPECT_TRUE(New(0));
  std::thread t1 = Begin([&] {
    EXPECT_TRUE(*infos_.LockNewBlockForWriting(id_, StorageLevel::OffHeap(), 1, true, kLong));
  });
  EXPECT_EQ(Remove(0), StoreErrorCode::kNone);
  t1.join();
  BlockInfo info = {};
  ASSERT_TRUE(infos_.Get(id_, &info));
  EXPECT_EQ(info.level, StorageLevel::OffHeap());
}

TEST_P(BlockInfoManagerTest, B6_ReadsAreReentrant) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Read(0), kLocked);
  EXPECT_EQ(Read(0), kLocked);
  EXPECT_EQ(Locks(), "-1/2");
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Locks(), "-1/1");
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Locks(), "-1/0");
}

TEST_P(BlockInfoManagerTest, B7_SeveralTasksRead) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  for (int64_t task = 0; task < 4; ++task) EXPECT_EQ(Read(task), kLocked);
  EXPECT_EQ(Locks(), "-1/4");
}

TEST_P(BlockInfoManagerTest, B8_OneWriter) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Write(0), kLocked);
  EXPECT_EQ(Locks(), "0/0");
  EXPECT_EQ(TryWrite(1), kBusy);
  EXPECT_EQ(Locks(), "0/0");
}

TEST_P(BlockInfoManagerTest, B9_WriteLockIsNotReentrant) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(TryWrite(0), kBusy);
  EXPECT_EQ(TryRead(0), kBusy);
}

TEST_P(BlockInfoManagerTest, B10_AssertBlockIsLockedForWriting) {
  EXPECT_EQ(infos_.AssertBlockIsLockedForWriting(id_, 0).code, StoreErrorCode::kBlockNotFound);
  EXPECT_EQ(infos_.AssertBlockIsLockedForWriting(id_, BlockInfoManager::kNonTaskWriter).code,
            StoreErrorCode::kBlockNotFound);
  EXPECT_TRUE(New(0));
  EXPECT_EQ(infos_.AssertBlockIsLockedForWriting(id_, 0).code, StoreErrorCode::kNone);
  EXPECT_EQ(infos_.AssertBlockIsLockedForWriting(id_, 1).code,
            StoreErrorCode::kNotLockedForWriting);
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  EXPECT_EQ(infos_.AssertBlockIsLockedForWriting(id_, 0).code,
            StoreErrorCode::kNotLockedForWriting);
}

TEST_P(BlockInfoManagerTest, B11_DowngradeLetsReadersIn) {
  EXPECT_TRUE(New(0));
  LockOutcome outcome = kBusy;
  std::thread reader = Begin([&] { outcome = Read(1); });
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  reader.join();
  EXPECT_EQ(outcome, kLocked);
  EXPECT_EQ(Locks(), "-1/2");
}

TEST_P(BlockInfoManagerTest, B12_WriteLockBlocksReaders) {
  EXPECT_TRUE(New(0));
  std::thread first = Begin([&] { EXPECT_EQ(Read(1), kLocked); });
  std::thread second = Begin([&] { EXPECT_EQ(Read(2), kLocked); });
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  first.join();
  second.join();
  EXPECT_EQ(Locks(), "-1/2");
}

TEST_P(BlockInfoManagerTest, B13_ReadLocksBlockWritersWhoThenWinOneAtATime) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Read(0), kLocked);
  std::thread first = Begin([&] { EXPECT_EQ(Write(1), kLocked); });
  std::thread second = Begin([&] { EXPECT_EQ(Write(2), kLocked); });
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  first.join();
  EXPECT_EQ(Locks(), "1/0");
  EXPECT_EQ(infos_.WaitingThreads(), 1);
  EXPECT_EQ(Unlock(1), StoreErrorCode::kNone);
  second.join();
  EXPECT_EQ(Locks(), "2/0");
}

TEST_P(BlockInfoManagerTest, B14_RemoveOfAMissingBlock) {
  EXPECT_EQ(Remove(0), StoreErrorCode::kBlockNotFound);
}

TEST_P(BlockInfoManagerTest, B15_RemoveWithoutALock) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Remove(0), StoreErrorCode::kRemoveWithoutLock);
  EXPECT_EQ(infos_.size(), 1);
}

TEST_P(BlockInfoManagerTest, B16_RemoveWithAReadLock) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  EXPECT_EQ(Remove(0), StoreErrorCode::kRemoveWithoutLock);
}

TEST_P(BlockInfoManagerTest, B17_RemovalEndsWaits) {
  EXPECT_TRUE(New(0));
  std::thread reader = Begin([&] { EXPECT_EQ(Read(1), kAbsent); });
  std::thread writer = Begin([&] { EXPECT_EQ(Write(2), kAbsent); });
  EXPECT_EQ(Remove(0), StoreErrorCode::kNone);
  reader.join();
  writer.join();
  EXPECT_EQ(infos_.size(), 0);
}

TEST_P(BlockInfoManagerTest, B18_ReleaseAllLocksForTask) {
  EXPECT_EQ(infos_.NumberOfMapEntries(), 12);  // six that are registered, twice
  EXPECT_TRUE(New(0));
  EXPECT_EQ(infos_.NumberOfMapEntries(), 14);
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(0), 1);
  EXPECT_EQ(infos_.NumberOfMapEntries(), 11);
  EXPECT_EQ(Locks(), "-1/0");
}

TEST_P(BlockInfoManagerTest, WithoutKeepReadLockNobodyWaits) {
  EXPECT_TRUE(New(0));
  EXPECT_FALSE(New(1, false));
  EXPECT_EQ(Locks(), "0/0");
}

TEST_P(BlockInfoManagerTest, NewBlockThatMayNotWaitTimesOut) {
  EXPECT_TRUE(New(0));
  const StoreResult<bool> is_new =
      infos_.LockNewBlockForWriting(id_, StorageLevel::MemoryOnly(), 1, true, None());
  EXPECT_EQ(is_new.error().code, StoreErrorCode::kTimedOut);
}

TEST_P(BlockInfoManagerTest, ReleaseAllNamesEachBlockOnceAndWakes) {
  struct Names final : ReleasedLocks {
    void Released(const BlockId& id) override { names.emplace_back(id.name()); }
    std::vector<std::string> names;
  };
  const BlockId other = Id("test_other");
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  EXPECT_EQ(Read(0), kLocked);
  EXPECT_TRUE(*infos_.LockNewBlockForWriting(other, StorageLevel::MemoryOnly(), 0));
  std::thread writer = Begin([&] { EXPECT_EQ(Write(1), kLocked); });
  Names released;
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(0, &released), 2);
  writer.join();
  std::sort(released.names.begin(), released.names.end());
  EXPECT_EQ(released.names, (std::vector<std::string>{"test_block", "test_other"}));
  EXPECT_EQ(Locks(), "1/0");
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(0), 0);
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(77), 0);
}

TEST_P(BlockInfoManagerTest, TaskThatIsNotRegisteredLocksNothing) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(infos_.LockForReading(id_, 77).error().code, StoreErrorCode::kTaskNotRegistered);
  EXPECT_EQ(infos_.LockForWriting(id_, 77).error().code, StoreErrorCode::kTaskNotRegistered);
  EXPECT_EQ(infos_.LockNewBlockForWriting(id_, {}, 77).error().code,
            StoreErrorCode::kTaskNotRegistered);
  EXPECT_EQ(Unlock(77), StoreErrorCode::kNone);  // its locks would be gone already
  EXPECT_EQ(Locks(), "-1/0");
}

TEST_P(BlockInfoManagerTest, ReleaseAllEndsTheTasksOwnWaits) {
  EXPECT_TRUE(New(0));
  std::thread reader = Begin([&] {
    EXPECT_EQ(infos_.LockForReading(id_, 1, kLong).error().code,
              StoreErrorCode::kTaskNotRegistered);
  });
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(1), 0);
  reader.join();
  EXPECT_EQ(Locks(), "0/0");
}

TEST_P(BlockInfoManagerTest, TaskMayRegisterAgain) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(0), 1);
  EXPECT_FALSE(infos_.RegisterTask(0));
  EXPECT_FALSE(infos_.RegisterTask(0));  // nothing more
  EXPECT_EQ(Read(0), kLocked);
}

TEST_P(BlockInfoManagerTest, UnlockOfWhatNobodyHasLocked) {
  EXPECT_EQ(Unlock(0), StoreErrorCode::kBlockNotFound);
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNotLockedForReading);
}

TEST_P(BlockInfoManagerTest, UnlockOnceTooOften) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  const StoreError error = infos_.Unlock(id_, 1);
  EXPECT_EQ(error.code, StoreErrorCode::kReleasedTooOften);
  char text[256];
  Describe(error, id_.name(), text, sizeof(text));
  EXPECT_STREQ(text,
               "assertion failed: Task 1 release lock on block test_block more times than it "
               "acquired it");
  // Spark has reduced the readers before it finds out.
  EXPECT_EQ(Locks(), IsSpark() ? "-1/0" : "-1/1");
}

TEST_P(BlockInfoManagerTest, UnlockOfAnothersWriteLock) {
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Unlock(1), IsSpark() ? StoreErrorCode::kNone : StoreErrorCode::kNotLockedForWriting);
  EXPECT_EQ(Locks(), IsSpark() ? "-1/0" : "0/0");
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(0), IsSpark() ? 0 : 1);
}

TEST_P(BlockInfoManagerTest, DowngradeNeedsTheWriteLock) {
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kBlockNotFound);
  EXPECT_TRUE(New(0));
  EXPECT_EQ(Downgrade(1), StoreErrorCode::kDowngradeWithoutLock);
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kNone);
  EXPECT_EQ(Downgrade(0), StoreErrorCode::kDowngradeWithoutLock);
}

TEST_P(BlockInfoManagerTest, OutsideATask) {
  constexpr int64_t kNone = BlockInfoManager::kNonTaskWriter;
  EXPECT_TRUE(New(kNone));
  EXPECT_EQ(Locks(), "-1024/0");
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(kNone), 1);
  EXPECT_EQ(Read(kNone), kLocked);  // it stays registered
  EXPECT_EQ(Unlock(kNone), StoreErrorCode::kNone);
}

TEST_P(BlockInfoManagerTest, WaitTimesOut) {
  EXPECT_TRUE(New(0));
  const LockWait brief = {.timeout_ns = 1, .cancellation = nullptr};
  EXPECT_EQ(infos_.LockForReading(id_, 1, brief).error().code, StoreErrorCode::kTimedOut);
  EXPECT_EQ(infos_.LockForWriting(id_, 1, brief).error().code, StoreErrorCode::kTimedOut);
  EXPECT_EQ(infos_.WaitingThreads(), 0);
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(Locks(), "-1/0");
}

TEST_P(BlockInfoManagerTest, WaitIsCancelled) {
  UnifiedMemoryManager manager({.max_heap_bytes = 2, .on_heap_storage_region_bytes = 1});
  Cancellation cancellation;
  Cancellation other;
  const LockWait wait = {.timeout_ns = kTestTimeoutNs, .cancellation = &cancellation};
  EXPECT_TRUE(New(0));
  std::thread reader = Begin([&] {
    EXPECT_EQ(infos_.LockForReading(id_, 1, wait).error().code, StoreErrorCode::kInterrupted);
  });
  infos_.Cancel(other);
  EXPECT_EQ(infos_.WaitingThreads(), 1);
  manager.Cancel(cancellation);
  infos_.Cancel(cancellation);
  reader.join();
  // And every later one, at once; but a lock that is free is had.
  EXPECT_EQ(infos_.LockForWriting(id_, 1, wait).error().code, StoreErrorCode::kInterrupted);
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  EXPECT_EQ(*infos_.LockForWriting(id_, 1, wait), kLocked);
}

TEST_P(BlockInfoManagerTest, ClearForgetsBlocksAndEndsWaits) {
  EXPECT_TRUE(New(0));
  std::thread reader = Begin([&] { EXPECT_EQ(Read(1), kAbsent); });
  infos_.Clear();
  reader.join();
  EXPECT_EQ(infos_.size(), 0);
  EXPECT_EQ(infos_.NumberOfMapEntries(), 12);
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(0), 0);
}

TEST_P(BlockInfoManagerTest, ManyBlocks) {
  for (int i = 0; i < 1000; ++i) {
    const BlockId id = Id("rdd_1_" + std::to_string(i));
    ASSERT_TRUE(*infos_.LockNewBlockForWriting(id, StorageLevel::MemoryOnly(), 1));
    if (i % 2 == 0) {
      ASSERT_FALSE(infos_.DowngradeLock(id, 1));
    }
  }
  EXPECT_EQ(infos_.size(), 1000);
  EXPECT_EQ(infos_.ReleaseAllLocksForTask(1), 1000);
}

TEST_P(BlockInfoManagerTest, EvictionLocksOnlyWhatNobodyHasLocked) {
  EXPECT_TRUE(New(0));
  {
    BlockInfoManager::EvictionLocks locks(infos_);
    EXPECT_FALSE(locks.CanLock(id_));
    EXPECT_FALSE(locks.CanLock(Id("test_missing")));
  }
  EXPECT_EQ(Unlock(0), StoreErrorCode::kNone);
  {
    BlockInfoManager::EvictionLocks locks(infos_);
    ASSERT_TRUE(locks.CanLock(id_));
    locks.Lock(id_);
  }
  EXPECT_EQ(Locks(), "-1025/0");
  EXPECT_EQ(Unlock(BlockInfoManager::kEvictionWriter), StoreErrorCode::kNone);
  EXPECT_EQ(Locks(), "-1/0");
}

TEST_P(BlockInfoManagerTest, WithoutMemoryNothingIsLockedAndNothingLeaks) {
  TestMemory memory;
  {
    BlockInfoManager infos({.compatibility = GetParam(), .source = memory.Source()});
    int64_t failures = 0;
    const auto attempt = [&](auto call) {
      for (int64_t index = 0;; ++index) {
        memory.FailFrom(index);
        if (call() == StoreErrorCode::kNone) break;
        ++failures;
      }
      memory.FailNever();
    };
    attempt([&] { return infos.RegisterTask(1).code; });
    attempt([&] {
      return infos.LockNewBlockForWriting(id_, StorageLevel::MemoryOnly(), 1).error().code;
    });
    attempt([&] { return infos.DowngradeLock(id_, 1).code; });
    attempt(
        [&] { return infos.LockForReading(id_, BlockInfoManager::kNonTaskWriter).error().code; });
    EXPECT_GT(failures, 2);
    BlockInfo info = {};
    EXPECT_TRUE(infos.Get(id_, &info));
    EXPECT_EQ(info.readers, 2);
  }
  EXPECT_EQ(memory.live(), 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, BlockInfoManagerTest,
                         ::testing::Values(Compatibility::kSpark, Compatibility::kTaskmem),
                         [](const auto& each) {
                           return each.param == Compatibility::kSpark ? "kSpark" : "kTaskmem";
                         });

}  // namespace
}  // namespace taskmem
