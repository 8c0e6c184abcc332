// Spark's MemoryStoreSuite, by the ids of its tests (M1 to M12).
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "spill/memory/memory_store.h"
#include "spill/memory/store_testing.h"

namespace taskmem {
namespace {

using Lines = std::vector<std::string>;

constexpr int64_t kSmall = 100;  // 4976 bytes in all
constexpr int64_t kBig = 1000;   // 40976

TEST_P(MemoryStoreTest, M1_ReserveAndReleaseUnrollMemory) {
  const BlockId id = Id("rdd_0_0");
  const auto reserve = [&](int64_t bytes) {
    return *store_.ReserveUnrollMemoryForTask(id, bytes, kOn, 7);
  };
  EXPECT_TRUE(reserve(100));
  EXPECT_TRUE(reserve(200));
  EXPECT_TRUE(reserve(500));
  EXPECT_EQ(test_.UnrollOf(7), 800);
  EXPECT_FALSE(reserve(1000000));
  EXPECT_EQ(test_.UnrollOf(7), 800);
  store_.ReleaseUnrollMemoryForTask(kOn, 7, 100);
  EXPECT_EQ(test_.UnrollOf(7), 700);
  store_.ReleaseUnrollMemoryForTask(kOn, 7, 100);
  EXPECT_TRUE(reserve(4400));
  EXPECT_EQ(test_.UnrollOf(7), 5000);
  EXPECT_FALSE(reserve(20000));
  store_.ReleaseUnrollMemoryForTask(kOn, 7, 1000);
  EXPECT_EQ(test_.UnrollOf(7), 4000);
  store_.ReleaseUnrollMemoryForTask(kOn, 7);
  EXPECT_EQ(test_.UnrollOf(7), 0);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 0);
}

TEST_P(MemoryStoreTest, M2_SafelyUnroll) {
  EXPECT_TRUE(test_.PutValues("test_unroll", kSmall).is_stored);
  EXPECT_EQ(test_.Unroll(), 0);
  EXPECT_TRUE(store_.Remove(Id("test_unroll")));
  EXPECT_TRUE(test_.PutValues("test_b1", kSmall).is_stored);
  EXPECT_TRUE(test_.PutValues("test_b2", kSmall).is_stored);
  EXPECT_TRUE(test_.PutValues("test_b3", kSmall).is_stored);
  EXPECT_FALSE(test_.Has("test_b1"));
  EXPECT_TRUE(test_.Has("test_b2"));
  EXPECT_EQ(test_.Unroll(), 0);

  PartiallyUnrolledIterator values;
  EXPECT_FALSE(test_.PutValues("test_b4", kBig, &values).is_stored);
  EXPECT_FALSE(test_.Has("test_b2"));
  EXPECT_TRUE(test_.Has("test_b3"));
  EXPECT_GT(test_.Unroll(), 0);
  for (int64_t number = 1; number <= 40; ++number) {
    ASSERT_TRUE(values.HasNext(MemoryStore::kNoTask));
    EXPECT_EQ(NumberOf(values.Next()), number);
  }
  EXPECT_FALSE(values.HasNext(MemoryStore::kNoTask));
  EXPECT_EQ(test_.Unroll(), 0);
  ExpectBalanced(test_);
}

TEST_P(MemoryStoreTest, M3_PutIteratorAsValues) {
  EXPECT_EQ(test_.PutValues("rdd_0_1", kSmall).size, 4976);
  EXPECT_TRUE(test_.PutValues("rdd_1_2", kSmall).is_stored);
  EXPECT_TRUE(test_.PutValues("rdd_2_3", kSmall).is_stored);
  EXPECT_EQ(test_.Order(), "rdd_1_2 rdd_2_3");
  PartiallyUnrolledIterator values;
  const PutOutcome outcome = test_.PutValues("rdd_3_4", kBig, &values);
  EXPECT_FALSE(outcome.is_stored);
  EXPECT_EQ(outcome.taken, 17);
  EXPECT_EQ(test_.Order(), "rdd_2_3");
  EXPECT_EQ(test_.Unroll(), outcome.unroll_bytes);
  EXPECT_GT(outcome.unroll_bytes, 0);
  values.Close(MemoryStore::kNoTask);
  EXPECT_EQ(test_.Unroll(), 0);
  ExpectBalanced(test_);
}

TEST_P(MemoryStoreTest, M4_PutIteratorAsBytes) {
  const auto put = [&](const char* name, int64_t bytes_each, PartiallySerializedBlock* partial,
                       TestValues& values, TestSerializer& serializer) {
    static_cast<void>(bytes_each);
    return test_.PutIteratorAsBytes(name, values, serializer, partial);
  };
  TestSerializer small[3] = {TestSerializer(124), TestSerializer(124), TestSerializer(124)};
  const char* names[] = {"rdd_0_1", "rdd_1_2", "rdd_2_3"};
  for (int i = 0; i < 3; ++i) {
    TestValues values(40);
    PartiallySerializedBlock partial;
    const PutOutcome outcome = put(names[i], 124, &partial, values, small[i]);
    EXPECT_TRUE(outcome.is_stored);
    EXPECT_EQ(outcome.size, 40 * 124 + 1);
  }
  EXPECT_EQ(test_.Order(), "rdd_1_2 rdd_2_3");
  TestValues values(40);
  TestSerializer big(1024);
  PartiallySerializedBlock partial;
  EXPECT_FALSE(put("rdd_3_4", 1024, &partial, values, big).is_stored);
  EXPECT_GT(test_.Unroll(), 0);
  partial.Discard(MemoryStore::kNoTask);
  EXPECT_EQ(test_.Unroll(), 0);
  ExpectBalanced(test_);
}

TEST_P(MemoryStoreTest, M5_ValuesIteratorOfAPutThatDoesNotFit) {
  TestValues values(40);
  TestSerializer serializer(1024);
  PartiallySerializedBlock partial;
  EXPECT_FALSE(test_.PutIteratorAsBytes("rdd_0_1", values, serializer, &partial).is_stored);
  PartiallyUnrolledIterator all;
  ASSERT_FALSE(partial.ValuesIterator(MemoryStore::kNoTask, &all));
  for (int64_t number = 1; number <= 40; ++number) {
    ASSERT_TRUE(all.HasNext(MemoryStore::kNoTask));
    EXPECT_EQ(NumberOf(all.Next()), number);
  }
  EXPECT_FALSE(all.HasNext(MemoryStore::kNoTask));
  EXPECT_EQ(test_.Unroll(), 0);
}

TEST_P(MemoryStoreTest, M6_FinishWritingAPutThatDoesNotFit) {
  TestValues values(40);
  TestSerializer serializer(1024);
  PartiallySerializedBlock partial;
  EXPECT_FALSE(test_.PutIteratorAsBytes("rdd_0_1", values, serializer, &partial).is_stored);
  TestSink sink;
  EXPECT_EQ(*partial.FinishWritingToStream(MemoryStore::kNoTask, sink), 40 * 1024 + 1);
  EXPECT_EQ(serializer.Decode(sink.bytes).size(), 40u);
  EXPECT_EQ(test_.Unroll(), 0);
}

TEST_P(MemoryStoreTest, M7_MultipleUnrollsBySameTask) {
  test_.pins = true;  // nothing can be evicted
  EXPECT_TRUE(test_.PutValues("rdd_0_1", kSmall).is_stored);
  EXPECT_TRUE(test_.PutValues("rdd_0_2", kSmall).is_stored);
  PartiallyUnrolledIterator partials[8];
  std::vector<int64_t> unroll;
  for (int i = 0; i < 8; ++i) {
    const std::string name = "rdd_0_" + std::to_string(i + 3);
    EXPECT_FALSE(test_.PutValues(name, kSmall, &partials[i], 0).is_stored);
    unroll.push_back(test_.Unroll());
  }
  EXPECT_EQ(unroll, (std::vector<int64_t>{512, 1024, 1536, 2048, 2048, 2048, 2048, 2048}));
  EXPECT_TRUE(test_.handler.TakeDropped().empty());
}

TEST_P(MemoryStoreTest, M8_SupplierIsNotCalledWithoutRoom) {
  TestSupplier supplier(13000);
  EXPECT_FALSE(*store_.PutBytes(Id("rdd_1_0"), 13000, kOn, supplier));
  EXPECT_EQ(supplier.calls, 0);
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 0);
}

TEST_P(MemoryStoreTest, M9_SizeOfBytes) {
  EXPECT_TRUE(test_.PutBytes("rdd_1_0", 10000));
  EXPECT_EQ(*store_.GetSize(Id("rdd_1_0")), 10000);
}

class FailingDropsTest : public ::testing::TestWithParam<std::tuple<Compatibility, int>> {};

TEST_P(FailingDropsTest, M10_DropThatFailsUnlocksWhatIsLeft) {
  const auto [compatibility, failing] = GetParam();
  TestStore test(compatibility, {.on_heap = 101, .on_heap_region = 100});
  ASSERT_EQ(*test.manager.AcquireExecutionMemory({.bytes = 1, .task = 7}), 1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(test.PutBytes("rdd_1_" + std::to_string(i), 10));
  const std::string failed = "rdd_1_" + std::to_string(failing);
  test.handler.failing = {failed};
  const BlockId id = Id("rdd_2_0");
  TestSupplier supplier(100);
  const StoreResult<bool> stored = test.store.PutBytes(id, 100, kOn, supplier);
  if (compatibility == Compatibility::kSpark) {
    EXPECT_EQ(stored.error().code, StoreErrorCode::kMemory);
    EXPECT_EQ(stored.error().memory.code, ErrorCode::kEvictionFailed);
    EXPECT_STREQ(stored.error().memory.detail, "drop failed");
    EXPECT_EQ(test.infos.size(), 10 - failing);
    // The drop has used the block.
    EXPECT_TRUE(test.Order().ends_with(failed)) << test.Order();
  } else {
    // The others go on; there is not room enough all the same.
    EXPECT_TRUE(stored.ok() && !*stored);
    EXPECT_EQ(test.Order(), failed);
    EXPECT_EQ(test.infos.size(), 1);
  }
  EXPECT_EQ(test.Locked(), 0);
  EXPECT_EQ(test.SumOfSizes(), test.infos.size() * 10);
  EXPECT_EQ(test.manager.StorageMemoryUsed(), test.SumOfSizes());
  test.handler.failing = {};
  EXPECT_TRUE(test.PutBytes("rdd_2_0", 100));
  EXPECT_EQ(test.Order(), "rdd_2_0");
}

// taskmem's own: what cannot be dropped is made up for by blocks that were used later.
TEST(FailingDropTest, M10_OthersAreDroppedInstead) {
  TestStore test(Compatibility::kTaskmem, {.on_heap = 100, .on_heap_region = 99});
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(test.PutBytes("rdd_1_" + std::to_string(i), 10));
  test.handler.failing = {"rdd_1_0", "rdd_1_2", "rdd_1_3"};
  EXPECT_TRUE(test.PutBytes("rdd_2_0", 40));
  EXPECT_EQ(test.Order(), "rdd_1_6 rdd_1_7 rdd_1_8 rdd_1_0 rdd_1_2 rdd_1_3 rdd_2_0");
  EXPECT_EQ(test.Locked(), 0);
  EXPECT_EQ(test.manager.StorageMemoryUsed(), test.SumOfSizes());
}

// A disk that fails is not written to again and again for one request; blocks that need none
// still go.
TEST(FailingDropTest, TwoFailuresAreEnough) {
  TestStore test(Compatibility::kTaskmem, {.on_heap = 100, .on_heap_region = 99});
  test.level = StorageLevel::MemoryAndDisk();
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(test.PutBytes("disk" + std::to_string(i), 10));
  test.level = StorageLevel::MemoryOnly();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(test.PutBytes("memory" + std::to_string(i), 10));
  for (int i = 0; i < 6; ++i) test.handler.failing.insert("disk" + std::to_string(i));
  EXPECT_TRUE(test.PutBytes("c", 30));
  EXPECT_EQ(test.Order(), "disk2 disk3 disk4 disk5 memory2 disk0 disk1 c");
  TestSupplier supplier(30);
  const StoreResult<bool> stored = test.store.PutBytes(Id("d"), 80, kOn, supplier);
  EXPECT_TRUE(stored.ok() && !*stored);
  EXPECT_EQ(test.Order(), "disk4 disk5 memory2 disk0 disk1 c disk2 disk3");
  EXPECT_EQ(test.Locked(), 0);
  EXPECT_EQ(test.manager.StorageMemoryUsed(), test.SumOfSizes());
}

// Nothing can be dropped: there is no room, as if all of it were locked.
TEST(FailingDropTest, M10_NothingCanBeDropped) {
  TestStore test(Compatibility::kTaskmem, {.on_heap = 100, .on_heap_region = 99});
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(test.PutBytes("b" + std::to_string(i), 10));
  for (int i = 0; i < 9; ++i) test.handler.failing.insert("b" + std::to_string(i));
  TestSupplier supplier(30);
  const StoreResult<bool> stored = test.store.PutBytes(Id("c"), 30, kOn, supplier);
  EXPECT_TRUE(stored.ok() && !*stored);
  EXPECT_EQ(supplier.calls, 0);
  EXPECT_EQ(test.infos.size(), 9);
  EXPECT_EQ(test.Locked(), 0);
  EXPECT_EQ(test.manager.StorageMemoryUsed(), 90);
}

INSTANTIATE_TEST_SUITE_P(All, FailingDropsTest,
                         ::testing::Combine(::testing::Values(Compatibility::kSpark,
                                                              Compatibility::kTaskmem),
                                            ::testing::Values(0, 3, 9)));

TEST_P(MemoryStoreTest, M11_RemoveClosesValues) {
  TestValues values(3);
  LinearSizes sizes(10);
  TestCloser closer;
  test_.PutValuesOf("rdd_1_0", values, sizes, nullptr, kOn, &closer);
  EXPECT_TRUE(closer.closed().empty());
  EXPECT_TRUE(store_.Remove(Id("rdd_1_0")));
  EXPECT_EQ(closer.closed(), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(test_.manager.StorageMemoryUsed(), 0);
  EXPECT_EQ(test_.Unroll(), 0);
}

TEST_P(MemoryStoreTest, M11_CloserThatFailsIsLogged) {
  TestValues values(3);
  LinearSizes sizes(10);
  TestCloser closer;
  closer.failing = 2;
  test_.PutValuesOf("rdd_1_0", values, sizes, nullptr, kOn, &closer);
  test_.log.Take();
  EXPECT_TRUE(store_.Remove(Id("rdd_1_0")));
  EXPECT_EQ(closer.closed().size(), 3u);
  EXPECT_EQ(test_.log.Take(), (Lines{"WARN Fail to close a memory entry",
                                     // TestLog has no word for DEBUG
                                     "DEBUG Block rdd_1_0 of size 30 dropped from memory (free "
                                     "12000)"}));
}

TEST_P(MemoryStoreTest, M12_ClearClosesValuesOfBothModes) {
  TestStore test(GetParam(), {.on_heap_region = 6000, .off_heap = 12000, .off_heap_region = 6000});
  TestCloser closer;
  LinearSizes sizes(10);
  TestValues on(2);
  TestValues off(2, 11);
  test.PutValuesOf("rdd_1_0", on, sizes, nullptr, kOn, &closer);
  test.PutValuesOf("rdd_1_1", off, sizes, nullptr, kOff, &closer);
  test.log.Take();
  test.store.Clear();
  EXPECT_EQ(test.log.Take(), Lines{"INFO MemoryStore cleared"});
  EXPECT_EQ(closer.closed(), (std::vector<int64_t>{1, 2, 11, 12}));
  EXPECT_EQ(test.manager.StorageMemoryUsed(), 0);
  EXPECT_EQ(test.Order(), "");
}

INSTANTIATE_TEST_SUITE_P(Modes, MemoryStoreTest,
                         ::testing::Values(Compatibility::kSpark, Compatibility::kTaskmem),
                         ModeName);

}  // namespace
}  // namespace taskmem
