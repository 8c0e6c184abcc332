#include "spill/memory/memory_store.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "spill/memory/store_testing.h"

namespace taskmem {
namespace {

using Lines = std::vector<std::string>;

constexpr int64_t kSmall = 100;  // 4976 bytes in all

// Rule by rule (MS); Spark's own tests are in memory_store_scenarios_test.cc.
TEST_P(MemoryStoreTest, MS1_WhatIsUsedIsEvictedLast) {
  for (const char* name : {"rdd_1_1", "rdd_1_2", "rdd_1_3"}) EXPECT_TRUE(test_.PutBytes(name, 100));
  EXPECT_TRUE(*store_.GetBytes(Id("rdd_1_1")));
  EXPECT_EQ(test_.Order(), "rdd_1_2 rdd_1_3 rdd_1_1");
  EXPECT_EQ(*store_.GetSize(Id("rdd_1_2")), 100);
  EXPECT_EQ(test_.Order(), "rdd_1_3 rdd_1_1 rdd_1_2");
  EXPECT_TRUE(store_.Contains(Id("rdd_1_3")));
  EXPECT_EQ(test_.Order(), "rdd_1_3 rdd_1_1 rdd_1_2");
}

TEST_P(MemoryStoreTest, MS4_SaysWhatItHas) {
  store_.LogStart();
  EXPECT_EQ(test_.log.Take(), Lines{"INFO MemoryStore started with capacity 11.7 KiB"});
  TestStore small(GetParam(), {.threshold = 20000});
  small.store.LogStart();
  EXPECT_EQ(small.log.Take(),
            (Lines{"WARN Max memory 11.7 KiB is less than the initial memory threshold 19.5 KiB "
                   "needed to store a block in memory. Please configure Spark with more memory.",
                   "INFO MemoryStore started with capacity 11.7 KiB"}));
}

TEST_P(MemoryStoreTest, MS5_SupplierThatFails) {
  EXPECT_FALSE(test_.PutBytes("rdd_1_0", 10, kOn, StoreErrorCode::kSupplierFailed));
  EXPECT_FALSE(test_.Has("rdd_1_0"));
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), IsSpark() ? 10 : 0);  // Spark leaks it
  EXPECT_TRUE(test_.PutBytes("rdd_1_0", 10));
  store_.Clear();
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 0);
}

TEST_P(MemoryStoreTest, MS5_BytesOfAnotherSize) {
  TestSupplier supplier(9);
  EXPECT_EQ(store_.PutBytes(Id("rdd_1_0"), 10, kOn, supplier).error().code,
            StoreErrorCode::kSupplierFailed);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), IsSpark() ? 10 : 0);
}

TEST_P(MemoryStoreTest, MS5_BlockThatIsThere) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_0", 10));
  TestSupplier supplier(10);
  EXPECT_EQ(store_.PutBytes(Id("rdd_1_0"), 10, kOn, supplier).error().code,
            StoreErrorCode::kAlreadyPresent);
  TestValues values(1);
  LinearSizes sizes(1);
  PartiallyUnrolledIterator partial;
  const BlockId id = Id("rdd_1_0");
  EXPECT_EQ(store_.PutIteratorAsValues({.id = &id, .values = &values}, nullptr, sizes, &partial)
                .error()
                .code,
            StoreErrorCode::kAlreadyPresent);
  EXPECT_EQ(supplier.calls, 0);
  ExpectBalanced(test_);
}

TEST_P(MemoryStoreTest, MS5_BlockThatComesWhileItsBytesAreSupplied) {
  struct Racing final : BytesSupplier {
    StoreResult<ChunkedBytes> Supply() override {
      EXPECT_TRUE(test->PutBytes("rdd_1_0", 10));
      ChunkedBytes bytes;
      EXPECT_TRUE(bytes.Write("0123456789", 10));
      return bytes;
    }
    TestStore* test;
  } supplier;
  supplier.test = &test_;
  EXPECT_EQ(store_.PutBytes(Id("rdd_1_0"), 10, kOn, supplier).error().code,
            StoreErrorCode::kAlreadyPresent);
  ExpectBalanced(test_);
}

TEST_P(MemoryStoreTest, MS5_RefusesNegativeSizesAndNoName) {
  TestSupplier supplier(10);
  EXPECT_EQ(store_.PutBytes(Id("rdd_1_0"), -1, kOn, supplier).error().code,
            StoreErrorCode::kMemory);
  EXPECT_EQ(store_.PutBytes(BlockId(), 10, kOn, supplier).error().code,
            StoreErrorCode::kInvalidArgument);
}

TEST_P(MemoryStoreTest, MS6_NoRoomForTheThreshold) {
  TestStore test(GetParam(), {.on_heap = 1000, .on_heap_region = 500, .threshold = 2000});
  PartiallyUnrolledIterator partial;
  const PutOutcome outcome = test.PutValues("rdd_1_0", 10, &partial, 0, kOn, 3);
  EXPECT_FALSE(outcome.is_stored);
  EXPECT_EQ(outcome.unroll_bytes, 0);
  EXPECT_EQ(outcome.taken, 0);
  EXPECT_EQ(test.log.Take(),
            (Lines{"INFO Will not store rdd_1_0 as the required space (2000 bytes) exceeds our "
                   "memory limit (1000 bytes)",
                   "WARN Failed to reserve initial memory threshold of 2000.0 B for computing "
                   "block rdd_1_0 in memory.",
                   "WARN Not enough space to cache rdd_1_0 in memory! (computed 0.0 B so far)",
                   "INFO Memory use = 0.0 B (blocks) + 0.0 B (scratch space shared across 0 "
                   "tasks(s)) = 0.0 B. Storage limit = 1000.0 B."}));
  EXPECT_TRUE(partial.HasNext(MemoryStore::kNoTask));
}

TEST_P(MemoryStoreTest, MS7_LooksAfterTheFirstValueAndEachSixteen) {
  LinearSizes sizes(1);
  TestValues values(40);
  EXPECT_TRUE(test_.PutValuesOf("rdd_1_0", values, sizes).is_stored);
  EXPECT_EQ(sizes.estimates, 4);  // after 1, 17, 33 and at the end
}

TEST_P(MemoryStoreTest, MS8_InterruptEndsTheUnrolling) {
  Cancellation cancellation;
  test_.cancellation = &cancellation;
  test_.task = 3;
  TestValues values(40);
  values.on_next = [&](int64_t number) {
    if (number == 5) test_.manager.Cancel(cancellation);
  };
  LinearSizes sizes(10);
  PartiallyUnrolledIterator partial;
  const PutOutcome outcome = test_.PutValuesOf("rdd_1_0", values, sizes, &partial);
  EXPECT_FALSE(outcome.is_stored);
  EXPECT_EQ(outcome.taken, 4);
  EXPECT_EQ(outcome.unroll_bytes, 512);
  EXPECT_EQ(test_.UnrollOf(3), 512);
  EXPECT_EQ(test_.log.Take(),
            Lines{"INFO Failed to unroll block=rdd_1_0 since thread interrupt was received"});
  int64_t count = 0;
  for (; partial.HasNext(3); partial.Next()) ++count;
  EXPECT_EQ(count, 40);
  EXPECT_EQ(test_.UnrollOf(3), 0);
}

TEST_P(MemoryStoreTest, MS8_OutsideATaskNothingInterrupts) {
  Cancellation cancellation;
  test_.manager.Cancel(cancellation);
  test_.cancellation = &cancellation;
  EXPECT_TRUE(test_.PutValues("rdd_1_0", kSmall).is_stored);
}

TEST_P(MemoryStoreTest, MS9_SurplusUnrollMemoryIsReturned) {
  test_.task = 3;
  EXPECT_EQ(test_.PutValues("rdd_1_0", 1, nullptr, 0).size, 40);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 40);
  EXPECT_EQ(test_.UnrollOf(3), 0);
  EXPECT_EQ(test_.log.Take(), Lines{"INFO Block rdd_1_0 stored as values in memory (estimated "
                                    "size 40.0 B, free 11.7 KiB)"});
}

TEST_P(MemoryStoreTest, MS9_PreciseSizeThatDoesNotFit) {
  test_.task = 3;
  struct Growing final : SizeEstimator {
    int64_t Estimate(void* const*, int64_t) override { return 100; }
    int64_t PreciseSize(void* const*, int64_t) override { return 13000; }
  } sizes;
  TestValues values(5);
  PartiallyUnrolledIterator partial;
  const PutOutcome outcome = test_.PutValuesOf("rdd_1_0", values, sizes, &partial);
  EXPECT_FALSE(outcome.is_stored);
  EXPECT_EQ(outcome.taken, 5);
  EXPECT_EQ(outcome.unroll_bytes, 512);
  EXPECT_TRUE(test_.log.Take()[1].ends_with("(computed 12.7 KiB so far)"));
}

TEST_P(MemoryStoreTest, MS9_UnrollMemoryOfATaskThatHasEndedMeanwhile) {
  test_.task = 3;
  TestValues values(5);
  values.on_next = [&](int64_t number) {
    if (number == 3) store_.ReleaseAllUnrollMemoryForTask(3);
  };
  LinearSizes sizes(100);
  EXPECT_TRUE(test_.PutValuesOf("rdd_1_0", values, sizes).is_stored);
  ExpectBalanced(test_);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 500);
}

// UNM-10: unmanaged memory lowers the limit of the whole block, but not of its parts.
TEST_P(MemoryStoreTest, UNM10_TransferUnderUnmanagedMemory) {
  TestStore test(GetParam(), {.on_heap = 1000, .on_heap_region = 500, .threshold = 100});
  test.totals.Set(kOn, 600);
  TestValues values(8);
  TestSerializer serializer(60);
  PartiallySerializedBlock partial;
  if (IsSpark()) {
    const PutOutcome outcome = test.PutIteratorAsBytes("rdd_1_0", values, serializer, &partial, kOn,
                                                       StoreErrorCode::kTransferFailed);
    EXPECT_FALSE(outcome.is_stored);
    EXPECT_EQ(test.manager.StorageMemoryUsed(), 0);
  } else {
    // Their sum is limited, too (UMM-10).
    EXPECT_FALSE(test.PutIteratorAsBytes("rdd_1_0", values, serializer, &partial).is_stored);
    EXPECT_GT(test.Unroll(), 0);
    partial.Discard(MemoryStore::kNoTask);
  }
  EXPECT_EQ(test.Unroll(), 0);
  EXPECT_EQ(test.manager.StorageMemoryUsed(), 0);
}

TEST_P(MemoryStoreTest, MS10_IteratorThatFails) {
  test_.task = 3;
  TestValues values(40, 1, 20);
  LinearSizes sizes(10);
  TestCloser closer;
  test_.PutValuesOf("rdd_1_0", values, sizes, nullptr, kOn, &closer,
                    StoreErrorCode::kIteratorFailed);
  EXPECT_EQ(closer.closed().size(), 19u);
  EXPECT_EQ(test_.UnrollOf(3), IsSpark() ? 512 : 0);  // in Spark until the task ends
  store_.ReleaseAllUnrollMemoryForTask(3);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 0);
}

TEST_P(MemoryStoreTest, MS11_SerializerThatFails) {
  test_.task = 3;
  TestValues values(40);
  TestSerializer serializer(10);
  serializer.failing = 7;
  PartiallySerializedBlock partial;
  test_.PutIteratorAsBytes("rdd_1_0", values, serializer, &partial, kOn,
                           StoreErrorCode::kSerializerFailed);
  EXPECT_EQ(test_.UnrollOf(3), IsSpark() ? 512 : 0);
}

TEST_P(MemoryStoreTest, MS11_ThresholdTooLargeForAChunk) {
  constexpr int64_t kHuge = int64_t{1} << 40;
  TestStore test(GetParam(), {.on_heap = kHuge, .on_heap_region = 0, .threshold = kHuge / 2});
  TestValues values(0);  // no chunk is made
  struct Empty final : ValueSerializer {
  } serializer;
  PartiallySerializedBlock partial;
  EXPECT_TRUE(test.PutIteratorAsBytes("rdd_1_0", values, serializer, &partial).is_stored);
  EXPECT_EQ(test.log.Take()[0],
            "WARN Initial memory threshold of 512.0 GiB is too large to be set as chunk size. "
            "Chunk size has been capped to 2048.0 MiB");
}

TEST_P(MemoryStoreTest, MS12_TheOtherKind) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_0", 10));
  EXPECT_TRUE(test_.PutValues("rdd_1_1", kSmall).is_stored);
  EXPECT_EQ(store_.GetValues(Id("rdd_1_0")).error().code, StoreErrorCode::kNotDeserialized);
  EXPECT_EQ(store_.GetBytes(Id("rdd_1_1")).error().code, StoreErrorCode::kNotSerialized);
  EXPECT_EQ(test_.Order(), "rdd_1_0 rdd_1_1");
  EXPECT_FALSE(*store_.GetBytes(Id("rdd_9_9")));
  EXPECT_EQ(store_.GetSize(Id("rdd_9_9")).error().code, StoreErrorCode::kBlockNotFound);
}

TEST_P(MemoryStoreTest, MS12_DataIsWhatWasPut) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_0", 100));
  EXPECT_TRUE(test_.PutValues("rdd_1_1", kSmall).is_stored);
  const StoreResult<BlockData> bytes = store_.GetBytes(Id("rdd_1_0"));
  TestSink sink;
  EXPECT_TRUE(bytes->bytes().CopyTo(sink));
  EXPECT_EQ(sink.bytes, std::string(100, 'b'));
  EXPECT_TRUE(bytes->is_serialized());
  const StoreResult<BlockData> values = store_.GetValues(Id("rdd_1_1"));
  ASSERT_EQ(values->count(), 40);
  EXPECT_EQ(NumberOf(values->values()[39]), 40);
  EXPECT_EQ(values->size(), 4976);
}

TEST_P(MemoryStoreTest, MS12_DataStaysWhileItIsHeld) {
  TestCloser closer;
  TestValues values(3);
  LinearSizes sizes(10);
  test_.PutValuesOf("rdd_1_0", values, sizes, nullptr, kOn, &closer);
  StoreResult<BlockData> data = store_.GetValues(Id("rdd_1_0"));
  EXPECT_TRUE(store_.Remove(Id("rdd_1_0")));
  EXPECT_TRUE(closer.closed().empty());
  EXPECT_EQ(NumberOf(data->values()[2]), 3);
  data->Reset();
  EXPECT_EQ(closer.closed().size(), 3u);
}

TEST_P(MemoryStoreTest, MS13_RemoveOfWhatIsNotThere) {
  EXPECT_FALSE(store_.Remove(Id("rdd_1_0")));
  EXPECT_TRUE(test_.log.Take().empty());
}

TEST_P(MemoryStoreTest, MS14_ClearLeavesWhatOthersCharged) {
  ASSERT_TRUE(*test_.manager.AcquireStorageMemory("other", 100, kOn));
  EXPECT_TRUE(test_.PutBytes("rdd_1_0", 10));
  ASSERT_TRUE(*store_.ReserveUnrollMemoryForTask(Id("rdd_1_1"), 20, kOn, 3));
  store_.Clear();
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), IsSpark() ? 0 : 100);
  EXPECT_EQ(test_.Unroll(), 0);
}

TEST_P(MemoryStoreTest, MS15_SameRddIsNotEvictedForItsOwn) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_1", 6000));
  EXPECT_TRUE(test_.PutBytes("rdd_2_1", 6000));
  EXPECT_TRUE(test_.PutBytes("rdd_1_2", 6000));
  EXPECT_EQ(test_.Order(), "rdd_1_1 rdd_1_2");
  EXPECT_FALSE(test_.PutBytes("rdd_1_3", 6000));
  EXPECT_TRUE(test_.PutBytes("broadcast_1", 6000));  // of no dataset
  EXPECT_EQ(test_.Order(), "rdd_1_2 broadcast_1");
}

TEST_P(MemoryStoreTest, MS15_OnlyBlocksOfTheMode) {
  TestStore test(GetParam(), {.off_heap = 1000, .off_heap_region = 1000});
  EXPECT_TRUE(test.PutBytes("rdd_1_1", 1000, kOff));
  EXPECT_TRUE(test.PutBytes("rdd_2_1", 12000, kOn));
  EXPECT_TRUE(test.PutBytes("rdd_3_1", 500, kOff));
  EXPECT_EQ(test.Order(), "rdd_2_1 rdd_3_1");
}

TEST_P(MemoryStoreTest, MS15_LockedBlocksStay) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_1", 6000));
  EXPECT_TRUE(test_.PutBytes("rdd_2_1", 6000));
  constexpr int64_t kNobody = BlockInfoManager::kNonTaskWriter;
  ASSERT_EQ(*test_.infos.LockForReading(Id("rdd_1_1"), kNobody), LockOutcome::kLocked);
  EXPECT_TRUE(test_.PutBytes("rdd_3_1", 6000));
  EXPECT_EQ(test_.Order(), "rdd_1_1 rdd_3_1");
  ASSERT_EQ(*test_.infos.LockForWriting(Id("rdd_3_1"), kNobody), LockOutcome::kLocked);
  EXPECT_FALSE(test_.PutBytes("rdd_4_1", 6000));
}

TEST_P(MemoryStoreTest, MS15_BlocksThatAreNotRegisteredStay) {
  TestSupplier supplier(12000);
  EXPECT_TRUE(*store_.PutBytes(Id("rdd_1_1"), 12000, kOn, supplier));
  EXPECT_FALSE(test_.PutBytes("rdd_2_1", 10));
}

TEST_P(MemoryStoreTest, MS16_AllOrNothing) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_1", 6000));
  EXPECT_TRUE(test_.PutBytes("rdd_2_1", 6000));
  test_.log.Take();
  const std::string_view name = "rdd_2_9";
  EXPECT_EQ(*store_.EvictBlocksToFreeSpace(&name, 6001, kOn), 0);
  EXPECT_EQ(test_.log.Take(), Lines{"INFO Will not store rdd_2_9"});
  EXPECT_EQ(*store_.EvictBlocksToFreeSpace(nullptr, 12001, kOn), 0);
  EXPECT_TRUE(test_.log.Take().empty());
  EXPECT_EQ(test_.Order(), "rdd_1_1 rdd_2_1");
  EXPECT_EQ(test_.Locked(), 0);
}

TEST_P(MemoryStoreTest, MS15_RefusesNoBytes) {
  EXPECT_EQ(store_.EvictBlocksToFreeSpace(nullptr, 0, kOn).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_.EvictBlocksToFreeSpace(nullptr, -1, kOn).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_P(MemoryStoreTest, MS17_DropsFromTheLeastRecentlyUsed) {
  for (const char* name : {"rdd_1_1", "rdd_1_2", "rdd_1_3"}) {
    EXPECT_TRUE(test_.PutBytes(name, 1000));
  }
  test_.log.Take();
  EXPECT_EQ(*store_.EvictBlocksToFreeSpace(nullptr, 1001, kOn), 2000);
  EXPECT_EQ(test_.handler.TakeDropped(), (Lines{"rdd_1_1", "rdd_1_2"}));
  const Lines lines = test_.log.Take();
  EXPECT_EQ(lines.front(), "INFO 2 blocks selected for dropping (2000.0 B bytes)");
  EXPECT_EQ(lines.back(), std::string("INFO After dropping 2 blocks, free memory is") +
                              (IsSpark() ? "" : " ") + "10.7 KiB");
  EXPECT_EQ(test_.infos.size(), 1);
}

TEST_P(MemoryStoreTest, MS18_BlockThatIsStillOnDiskStaysRegistered) {
  test_.handler.keeps_on_disk = true;
  EXPECT_TRUE(test_.PutBytes("rdd_1_1", 1000));
  EXPECT_EQ(*store_.EvictBlocksToFreeSpace(nullptr, 1, kOn), 1000);
  EXPECT_FALSE(test_.Has("rdd_1_1"));
  EXPECT_EQ(test_.infos.size(), 1);
  EXPECT_EQ(test_.Locked(), 0);
}

TEST_P(MemoryStoreTest, MS18_NoLockIsHeldDuringADrop) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_1", 6000));
  EXPECT_TRUE(test_.PutBytes("rdd_2_1", 5000));
  test_.handler.on_drop = [&](const BlockId& id) {
    test_.handler.on_drop = nullptr;
    std::thread other([&] {
      EXPECT_TRUE(store_.Contains(id));
      EXPECT_EQ(*store_.EvictBlocksToFreeSpace(nullptr, 5000, kOn), 5000);
      EXPECT_EQ(*test_.manager.AcquireExecutionMemory({.bytes = 500, .task = 1, .timeout_ns = 0}),
                500);
      EXPECT_EQ(*test_.infos.LockForReading(id, BlockInfoManager::kNonTaskWriter, LockWait::None()),
                LockOutcome::kBusy);
    });
    other.join();
  };
  EXPECT_TRUE(test_.PutBytes("rdd_3_1", 2000));
  EXPECT_EQ(test_.Order(), "rdd_3_1");
  ExpectBalanced(test_);
}

TEST_P(MemoryStoreTest, MS18_BlockThatIsRemovedWhileItIsSelected) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_1", 1000));
  EXPECT_TRUE(test_.PutBytes("rdd_1_2", 1000));
  test_.handler.on_drop = [&](const BlockId&) { store_.Remove(Id("rdd_1_2")); };
  EXPECT_EQ(*store_.EvictBlocksToFreeSpace(nullptr, 2000, kOn), 2000);
  EXPECT_EQ(test_.handler.TakeDropped(), Lines{"rdd_1_1"});
  EXPECT_EQ(test_.Locked(), 0);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 0);
}

TEST_P(MemoryStoreTest, MS19_ModesAndTasksAreApart) {
  TestStore test(GetParam(), {.off_heap = 1000, .off_heap_region = 1000});
  const BlockId id = Id("rdd_1_1");
  EXPECT_TRUE(*test.store.ReserveUnrollMemoryForTask(id, 100, kOn, 1));
  EXPECT_TRUE(*test.store.ReserveUnrollMemoryForTask(id, 200, kOff, 1));
  EXPECT_TRUE(*test.store.ReserveUnrollMemoryForTask(id, 400, kOff, 2));
  EXPECT_EQ(test.UnrollOf(1), 300);
  EXPECT_EQ(test.store.unroll_memory().Tasks(), 2);
  EXPECT_EQ(test.Unroll(), 700);
  EXPECT_EQ(test.store.BlocksMemoryUsed(), 0);
  test.store.ReleaseUnrollMemoryForTask(kOff, 3);
  test.store.ReleaseUnrollMemoryForTask(kOff, 1, 150);
  EXPECT_EQ(test.store.unroll_memory().Of(1, kOff), 50);
  test.store.ReleaseAllUnrollMemoryForTask(1);
  EXPECT_EQ(test.UnrollOf(1), 0);
  EXPECT_EQ(test.manager.StorageMemoryUsed(), 400);
}

TEST_P(MemoryStoreTest, MS19_NoBytesAreAKey) {
  EXPECT_TRUE(*store_.ReserveUnrollMemoryForTask(Id("rdd_1_1"), 0, kOn, 1));
  EXPECT_EQ(store_.unroll_memory().Tasks(), 1);
  store_.ReleaseUnrollMemoryForTask(kOn, 1);
  EXPECT_EQ(store_.unroll_memory().Tasks(), 0);
}

TEST_P(MemoryStoreTest, MS19_NegativeReservation) {
  EXPECT_EQ(store_.ReserveUnrollMemoryForTask(Id("rdd_1_1"), -1, kOn, 1).error().code,
            StoreErrorCode::kMemory);
}

// A block that is unlocked can be evicted: in kTaskmem those who wait look again.
TEST_P(MemoryStoreTest, UnlockedBlockEndsAWaitForExecutionMemory) {
  TestStore test(GetParam(), {.on_heap = 1000, .on_heap_region = 0});
  ASSERT_EQ(*test.manager.AcquireExecutionMemory({.bytes = 400, .task = 1}), 400);
  test.pins = true;
  EXPECT_TRUE(test.PutBytes("rdd_1_1", 600));
  Result<int64_t> granted = int64_t{0};
  std::thread waiter([&] {
    granted = test.manager.AcquireExecutionMemory(
        {.bytes = 300, .task = 2, .timeout_ns = kTestTimeoutNs});
  });
  while (test.manager.WaitingThreads() == 0) std::this_thread::yield();
  EXPECT_FALSE(test.infos.Unlock(Id("rdd_1_1"), BlockInfoManager::kNonTaskWriter));
  if (IsSpark()) {
    EXPECT_EQ(test.manager.WaitingThreads(), 1);
    test.manager.EndTask(77);  // notifies
  }
  waiter.join();
  EXPECT_EQ(*granted, 300);
  EXPECT_EQ(test.Order(), "");
}

// As BlockManager does that reads a block back from disk: it is stored under a read lock.
TEST_P(MemoryStoreTest, BlockThatIsStoredUnderAReadLockEndsAWaitToo) {
  if (IsSpark()) return;
  TestStore test(GetParam(), {.on_heap = 1000, .on_heap_region = 0});
  constexpr int64_t kNobody = BlockInfoManager::kNonTaskWriter;
  const BlockId id = Id("rdd_1_1");
  ASSERT_TRUE(*test.infos.LockNewBlockForWriting(id, StorageLevel::MemoryAndDisk(), kNobody));
  ASSERT_FALSE(test.infos.Unlock(id, kNobody));
  ASSERT_EQ(*test.infos.LockForReading(id, kNobody), LockOutcome::kLocked);
  ASSERT_EQ(*test.manager.AcquireExecutionMemory({.bytes = 400, .task = 1}), 400);
  Result<int64_t> granted = int64_t{0};
  struct Supplier final : BytesSupplier {
    StoreResult<ChunkedBytes> Supply() override {
      // The room is taken, and the block is not there yet.
      waiter = std::thread([this] {
        *granted = test->manager.AcquireExecutionMemory(
            {.bytes = 300, .task = 2, .timeout_ns = kTestTimeoutNs});
      });
      while (test->manager.WaitingThreads() == 0) std::this_thread::yield();
      return TestSupplier(600).Supply();
    }
    TestStore* test = nullptr;
    Result<int64_t>* granted = nullptr;
    std::thread waiter;
  } supplier;
  supplier.test = &test;
  supplier.granted = &granted;
  ASSERT_TRUE(*test.store.PutBytes(id, 600, kOn, supplier));
  EXPECT_FALSE(test.infos.Unlock(id, kNobody));
  supplier.waiter.join();
  EXPECT_EQ(*granted, 300);
}

TEST_P(MemoryStoreTest, WithoutMemoryNothingStaysCharged) {
  TestMemory memory;
  {
    TestStore test(GetParam(), {.source = memory.Source()});
    int64_t failures = 0;
    for (int64_t index = 0; !test.Has("rdd_1_0"); ++index) {
      const BlockId id = Id("rdd_1_0");
      TestSupplier supplier(10);
      memory.FailFrom(index);
      const StoreResult<bool> stored = test.store.PutBytes(id, 10, kOn, supplier);
      if (!stored.ok()) ++failures;
      ExpectBalanced(test);
    }
    for (int64_t index = 0; !test.Has("rdd_1_1"); ++index) {
      const BlockId id = Id("rdd_1_1");
      TestValues values(40);
      LinearSizes sizes(10);
      PartiallyUnrolledIterator partial;
      memory.FailFrom(index);
      const StoreResult<PutOutcome> outcome = test.store.PutIteratorAsValues(
          {.id = &id, .task = 3, .values = &values}, nullptr, sizes, &partial);
      if (!outcome.ok()) ++failures;
      if (!IsSpark()) {
        EXPECT_EQ(test.UnrollOf(3), 0);
      }
      test.store.ReleaseAllUnrollMemoryForTask(3);
      ExpectBalanced(test);
    }
    for (int64_t index = 0; !test.Has("rdd_1_2"); ++index) {
      const BlockId id = Id("rdd_1_2");
      TestValues values(40);
      TestSerializer serializer(20);
      PartiallySerializedBlock partial;
      memory.FailFrom(index);
      const StoreResult<PutOutcome> outcome = test.store.PutIteratorAsBytes(
          {.id = &id, .task = 3, .values = &values}, serializer, &partial);
      if (!outcome.ok()) ++failures;
      test.store.ReleaseAllUnrollMemoryForTask(3);
      ExpectBalanced(test);
    }
    EXPECT_GE(failures, 4);
    memory.FailNever();
  }
  EXPECT_EQ(memory.live(), 0);
}

TEST_P(MemoryStoreTest, ManyBlocks) {
  TestStore test(GetParam(), {.on_heap = 1000000, .on_heap_region = 999999});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(test.PutBytes("rdd_" + std::to_string(i) + "_0", 10));
  }
  EXPECT_EQ(*test.store.EvictBlocksToFreeSpace(nullptr, 5000, kOn), 5000);
  EXPECT_FALSE(test.Has("rdd_499_0"));
  EXPECT_TRUE(test.Has("rdd_500_0"));
  EXPECT_EQ(test.SumOfSizes(), 5000);
}

INSTANTIATE_TEST_SUITE_P(Modes, MemoryStoreTest,
                         ::testing::Values(Compatibility::kSpark, Compatibility::kTaskmem),
                         ModeName);

}  // namespace
}  // namespace taskmem
