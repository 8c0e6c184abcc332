// How the manager makes room: eviction, and what is beside the pools.
#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include "accounting/pools/manager_testing.h"
#include "accounting/pools/unified_memory_manager.h"

namespace taskmem {
namespace {

using Asked = std::vector<int64_t>;
constexpr Compatibility kSpark = Compatibility::kSpark;
constexpr Compatibility kTaskmem = Compatibility::kTaskmem;

class EvictionTest : public testing::TestWithParam<Compatibility> {};
INSTANTIATE_TEST_SUITE_P(Both, EvictionTest, testing::Values(kSpark, kTaskmem), NameOf);

TEST_P(EvictionTest, Store1EvictionNeedsAStore) {
  MemoryManagerOptions options;
  options.max_heap_bytes = 1000;
  options.on_heap_storage_region_bytes = 500;
  options.compatibility = GetParam();
  UnifiedMemoryManager manager(options);
  Result<bool> stored = manager.AcquireStorageMemory("test_d", 700, kOn);
  EXPECT_TRUE(stored.value());
  const Result<int64_t> acquired = manager.AcquireExecutionMemory({.bytes = 400, .task = 1});
  EXPECT_EQ(acquired.error().code, ErrorCode::kNoMemoryStore);
  stored = manager.AcquireStorageMemory("test_d", 800, kOn);
  EXPECT_EQ(stored.error().code, ErrorCode::kNoMemoryStore);
  EXPECT_EQ(manager.StorageMemoryUsed(), 700);
}

TEST_P(EvictionTest, TheLockIsNotHeldWhileAStoreEvicts) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(700));
  m.evictor().Do([&m](int64_t bytes, MemoryMode mode) {
    EXPECT_EQ(m->StorageMemoryUsed(), 700);
    EXPECT_EQ(m.Acquire(7, 10), 10);
    m.Release(7, 10);
    m.Unstore(bytes, mode);
    return bytes;
  });
  EXPECT_EQ(m.Acquire(1, 500), 500);
}

TEST_P(EvictionTest, AFailedEvictionForStorageGrantsNothing) {
  TestManager m(GetParam());
  m.evictor().Do([](int64_t, MemoryMode) -> Result<int64_t> {
    return MemoryError(ErrorCode::kEvictionFailed, "drop failed");
  });
  EXPECT_TRUE(m.Store(1000));
  const Result<bool> result = m->AcquireStorageMemory("test_d", 10, kOn);
  EXPECT_EQ(result.error().code, ErrorCode::kEvictionFailed);
  EXPECT_STREQ(result.error().detail, "drop failed");
  EXPECT_EQ(m->StorageMemoryUsed(), 1000);
}

// What is released while a store evicts in vain is looked at before the request waits.
TEST(Eviction, AStorageReleaseDuringAnEvictionIsNotLost) {
  TestManager m(kTaskmem);
  EXPECT_TRUE(m.Store(600));
  EXPECT_EQ(m.Acquire(1, 400), 400);
  m.evictor().Do([&m](int64_t, MemoryMode) {
    m.Unstore(600);  // as another thread might
    return int64_t{0};
  });
  EXPECT_EQ(m.Acquire(2, 300), 300);
}

TEST_P(EvictionTest, AReleaseDuringAnEvictionIsNotLost) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(600));
  EXPECT_EQ(m.Acquire(1, 400), 400);
  m.evictor().Do([&m](int64_t, MemoryMode) {
    m.Unstore(500);
    m.Release(1, 1);  // in Spark, too, a waiter would look again now
    return int64_t{0};
  });
  EXPECT_EQ(m.Acquire(2, 300), 300);
}

// Blocks that could be evicted are evicted again where others took what was freed.
TEST_P(EvictionTest, WhatOthersTakeDuringAnEvictionIsEvictedAgain) {
  TestManager m(GetParam(), {.on_heap_region = 0});
  EXPECT_TRUE(m.Store(1000));
  int evictions = 0;
  m.evictor().Do([&](int64_t bytes, MemoryMode mode) {
    m.Unstore(bytes, mode);
    if (++evictions == 1) {
      EXPECT_TRUE(m.Store(bytes, mode));
    }
    return bytes;
  });
  EXPECT_EQ(m.Acquire(1, 300), 300);
  EXPECT_EQ(m.Pools(), "300/300 700/700");
}

// Others' comings and goings are no reason to try again what was in vain.
TEST_P(EvictionTest, EvictsInVainOnce) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(600));
  EXPECT_EQ(m.Acquire(1, 400), 400);
  m.evictor().Do([&m](int64_t, MemoryMode) {
    m.Release(9, 0);
    return int64_t{0};
  });
  EXPECT_EQ(m.Acquire(2, 300), kWaits);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{100});
}

// Only a wait loses a key (EXEC-4): in Spark nobody comes between an eviction and its grant.
TEST_P(EvictionTest, AKeyThatVanishesDuringAnEvictionComesBack) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(700));
  EXPECT_EQ(m.Acquire(1, 100), 100);
  m.evictor().Do([&m](int64_t bytes, MemoryMode mode) {
    m.Release(1, 100);
    m.Unstore(bytes, mode);
    return bytes;
  });
  EXPECT_EQ(m.Acquire(1, 400), 400);
  EXPECT_EQ(m.Keys(), "1:400");
}

// Storage, too, evicts again where execution took what was freed.
TEST_P(EvictionTest, WhatExecutionTakesFromAnEvictionForStorageIsEvictedAgain) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(1000));
  m.evictor().Do([&](int64_t bytes, MemoryMode mode) {
    m.Unstore(bytes, mode);
    if (m.Usage(7) == 0) {
      EXPECT_EQ(m.Acquire(7, 100), 100);
    }
    return bytes;
  });
  EXPECT_TRUE(m.Store(300));
  EXPECT_EQ(m.evictor().TakeAsked(), (Asked{300, 100}));
  EXPECT_EQ(m.Pools(), "100/100 900/900");
}

TEST_P(EvictionTest, AWaiterEvictsWhenItIsWoken) {
  TestManager m(GetParam(), {.on_heap_region = 400});
  bool is_pinned = true;
  std::mutex mutex;
  m.evictor().Do([&](int64_t bytes, MemoryMode mode) {
    const std::lock_guard lock(mutex);
    if (is_pinned) return int64_t{0};
    m.Unstore(bytes, mode);
    return bytes;
  });
  EXPECT_TRUE(m.Store(600));
  EXPECT_EQ(m.Acquire(1, 400), 400);
  const auto t2 = m.BeginAcquire(2, 200);
  {
    const std::lock_guard lock(mutex);
    is_pinned = false;
  }
  m->NotifyChanged();  // of use in taskmem only
  if (GetParam() == kSpark) m.Release(9, 0);
  EXPECT_EQ(t2->Grant(), 200);
  EXPECT_EQ(m.Pools(), "600/600 400/400");
}

// UMM-10

TEST(BesidePools, Umm10InSparkUnmanagedMemoryLimitsEachBlock) {
  TestManager m(kSpark);
  m.SetUnmanaged(300);
  EXPECT_TRUE(m.Store(500));
  EXPECT_TRUE(m.Store(500));
  EXPECT_EQ(m->StorageMemoryUsed(), 1000);
}

TEST(BesidePools, Umm10UnmanagedMemoryLimitsTheSum) {
  TestManager m(kTaskmem);
  m.evictor().Do([](int64_t, MemoryMode) { return int64_t{0}; });
  m.SetUnmanaged(300);
  EXPECT_TRUE(m.Store(500));
  EXPECT_FALSE(m.Store(500));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{300});
  EXPECT_TRUE(m.Store(200));
  EXPECT_FALSE(m.Store(1));
  EXPECT_EQ(m->StorageMemoryUsed(), 700);
}

TEST(BesidePools, Umm10UnmanagedMemoryLimitsTasksAndStorageTogether) {
  TestManager m(kTaskmem);
  m.SetUnmanaged(300);
  EXPECT_TRUE(m.Store(400));
  EXPECT_EQ(m.Acquire(1, 1000), 300);
  EXPECT_EQ(m.Pools(), "600/300 400/400");
  EXPECT_FALSE(m.Store(401));
  m.SetUnmanaged(0);
  EXPECT_EQ(m.Acquire(1, 1000), 300);
}

TEST(BesidePools, ExecutionEvictsWhatUnmanagedMemoryTookAway) {
  TestManager m(kTaskmem, {.on_heap_region = 200});
  EXPECT_TRUE(m.Store(600));
  m.SetUnmanaged(300);
  EXPECT_EQ(m.Acquire(1, 400), 400);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{300});
  EXPECT_EQ(m->StorageMemoryUsed(), 300);
}

// UNM-7

TEST(BesidePools, Unm7FallingUnmanagedMemoryWakes) {
  TestManager m(kTaskmem);
  m.SetUnmanaged(500);
  EXPECT_EQ(m.Acquire(1, 500), 500);
  const auto t2 = m.BeginAcquire(2, 200);
  m.SetUnmanaged(400);
  EXPECT_EQ(m->WaitingThreads(), 1);  // 100 < 600 / 4
  m.SetUnmanaged(300);
  EXPECT_EQ(t2->Grant(), 200);
}

TEST_P(EvictionTest, UnmanagedMemoryMayBeMoreThanThereIs) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 300), 300);
  EXPECT_TRUE(m.Store(100));
  m.SetUnmanaged(INT64_MAX);
  EXPECT_FALSE(m.Store(1));
  EXPECT_TRUE(m.Store(0));
  EXPECT_EQ(m.Acquire(1, 300), 0);
  EXPECT_EQ(m->GetPools(kOn).unmanaged, INT64_MAX);
  m.SetUnmanaged(0);
  EXPECT_EQ(m.Acquire(1, 300), 300);
}

// Overdrawn memory

TEST(BesidePools, WhatIsOverdrawnCountsLikeUnmanagedMemory) {
  TestManager m(kTaskmem);
  EXPECT_TRUE(m->OverdrawExecutionMemory(300, 1, kOn));
  EXPECT_EQ(m->GetPools(kOn).overdrawn, 300);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 0);
  EXPECT_EQ(m.Usage(1), 300);
  EXPECT_FALSE(m.Store(701));
  EXPECT_TRUE(m.Store(700));
  m.Unstore(700);
  // Of 1000 it holds 300.
  EXPECT_EQ(m.Acquire(1, 1000), 700);
  m.Release(1, 300);
  EXPECT_EQ(m->GetPools(kOn).overdrawn, 0);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 700);
}

TEST(BesidePools, OverdrawsWhateverIsFree) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  EXPECT_TRUE(m->OverdrawExecutionMemory(5000, 2, kOn));
  EXPECT_EQ(m.Usage(2), 5000);
  EXPECT_FALSE(m->OverdrawExecutionMemory(-1, 2, kOn));
  EXPECT_EQ(m.ReleaseAll(2), 5000);
  EXPECT_EQ(m.Keys(), "1:1000");
  EXPECT_EQ(m.Pools(), "1000/1000 0/0");
}

TEST(BesidePools, ReturningWhatWasOverdrawnWakes) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 500), 500);
  EXPECT_TRUE(m->OverdrawExecutionMemory(500, 1, kOn));
  const auto t2 = m.BeginAcquire(2, 100);
  m.Release(1, 500);
  EXPECT_EQ(t2->Grant(), 100);
}

// Its own waiting request is above its minimum then.
TEST(BesidePools, OverdrawingAnswersTheTasksWaiters) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto t2 = m.BeginAcquire(2, 100);
  EXPECT_TRUE(m->OverdrawExecutionMemory(600, 2, kOn));
  EXPECT_EQ(m->WaitingThreads(), 0);
  EXPECT_EQ(t2->Grant(), 0);
}

}  // namespace
}  // namespace taskmem
