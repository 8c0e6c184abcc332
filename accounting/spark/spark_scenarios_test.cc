// Spark's own tests of its memory manager, as numbers: one each, named by its id. Where
// taskmem differs from Spark on purpose both are here.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "accounting/pools/manager_testing.h"
#include "accounting/pools/unified_memory_manager.h"
#include "accounting/spark/unmanaged_memory.h"

namespace taskmem {
namespace {

using Asked = std::vector<int64_t>;
constexpr Compatibility kSpark = Compatibility::kSpark;
constexpr Compatibility kTaskmem = Compatibility::kTaskmem;

// Everything but what compatibility.h lists is the same in both.
class ScenarioTest : public testing::TestWithParam<Compatibility> {};
INSTANTIATE_TEST_SUITE_P(Both, ScenarioTest, testing::Values(kSpark, kTaskmem), NameOf);

// MemoryManagerSuite

TEST_P(ScenarioTest, MMaSingleTask) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(0, 100), 100);
  EXPECT_EQ(m.Acquire(0, 400), 400);
  EXPECT_EQ(m.Acquire(0, 400), 400);
  EXPECT_EQ(m.Pools(), "900/900 100/0");
  EXPECT_EQ(m.Acquire(0, 200), 100);
  EXPECT_EQ(m.Pools(), "1000/1000 0/0");
  EXPECT_EQ(m.Acquire(0, 100), 0);
  EXPECT_EQ(m.Acquire(0, 100), 0);
  m.Release(0, 500);
  EXPECT_EQ(m.Acquire(0, 300), 300);
  EXPECT_EQ(m.Acquire(0, 300), 200);
  EXPECT_EQ(m.ReleaseAll(0), 1000);
  EXPECT_EQ(m.Acquire(0, 1000), 1000);
  EXPECT_EQ(m.Acquire(0, 100), 0);
}

TEST_P(ScenarioTest, MMbTwoTasksRequestingFullMemory) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 500), 500);
  EXPECT_EQ(m.Acquire(2, 500), 500);
  EXPECT_EQ(m.Acquire(1, 500), 0);
  EXPECT_EQ(m.Acquire(2, 500), 0);
}

TEST_P(ScenarioTest, MMcTasksCannotGrowPast1OfN) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 250), 250);
  EXPECT_EQ(m.Acquire(2, 250), 250);
  EXPECT_EQ(m.Acquire(1, 500), 250);
  EXPECT_EQ(m.Acquire(2, 500), 250);
}

TEST_P(ScenarioTest, MMdTasksBlockToGetAtLeast1Of2N) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto t2 = m.BeginAcquire(2, 250);
  EXPECT_EQ(m.log().Take(), (std::vector<std::string>{"INFO TID 2 waiting for at least 1/2N of "
                                                      "on-heap execution pool to be free"}));
  EXPECT_EQ(m.Keys(), "1:1000 2:0");
  m.Release(1, 250);
  EXPECT_EQ(t2->Grant(), 250);
  EXPECT_EQ(m.Acquire(2, 100), 0);
}

TEST_P(ScenarioTest, MMfTasksAreCleanedUp) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  const auto t2 = m.BeginAcquire(2, 500);
  EXPECT_EQ(m.ReleaseAll(1), 1000);
  EXPECT_EQ(t2->Grant(), 500);
  EXPECT_EQ(m.Acquire(2, 500), 500);  // N is 1 now
  EXPECT_EQ(m.Acquire(2, 500), 0);
}

TEST_P(ScenarioTest, MMgTasksAreNotGrantedANegativeAmount) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(1, 700), 700);
  EXPECT_EQ(m.Acquire(2, 300), 300);
  EXPECT_EQ(m.Acquire(1, 300), 0);
}

TEST_P(ScenarioTest, MMhOffHeapAllocationsRespectTheLimit) {
  TestManager m(GetParam(), {.off_heap = 1000, .off_heap_region = 500});
  EXPECT_EQ(m.Acquire(0, 1000, kOff), 1000);
  EXPECT_EQ(m->ExecutionMemoryUsed(kOff), 1000);
  EXPECT_EQ(m.Acquire(0, 300, kOff), 0);
  m.Release(0, 500, kOff);
  EXPECT_EQ(m->ExecutionMemoryUsed(kOff), 500);
  m.Release(0, 500, kOff);
  EXPECT_EQ(m->ExecutionMemoryUsed(kOff), 0);
  EXPECT_EQ(m.Pools(), "500/0 500/0");
}

// UnifiedMemoryManagerSuite (U6 to U8 are of memory_config_test)

TEST_P(ScenarioTest, U1BasicExecution) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(0, 10), 10);
  EXPECT_EQ(m.Acquire(0, 100), 100);
  EXPECT_EQ(m.Acquire(0, 1000), 890);
  EXPECT_EQ(m.Pools(), "1000/1000 0/0");
  EXPECT_EQ(m.Acquire(0, 1), 0);
  m.Release(0, 800);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 200);
  EXPECT_EQ(m.Acquire(0, 1), 1);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 201);
  m.Release(0, 1000);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 0);
  EXPECT_EQ(m.log().Take(),
            (std::vector<std::string>{"WARN Internal error: release called on 1000 bytes but task "
                                      "only has 201 bytes of memory from the on-heap execution "
                                      "pool"}));
}

TEST_P(ScenarioTest, U2BasicStorage) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(10));
  EXPECT_TRUE(m.Store(100));
  EXPECT_FALSE(m.Store(1001));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m->StorageMemoryUsed(), 110);
  EXPECT_EQ(m.log().Take(),
            (std::vector<std::string>{"INFO Will not store test_d as the required space (1001 "
                                      "bytes) exceeds our memory limit (1000 bytes)"}));
  EXPECT_TRUE(m.Store(1000));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{110});
  EXPECT_EQ(m.Pools(), "0/0 1000/1000");
  EXPECT_TRUE(m.Store(1));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{1});
  EXPECT_EQ(m->StorageMemoryUsed(), 1000);
  m.Unstore(800);
  EXPECT_EQ(m->StorageMemoryUsed(), 200);
  EXPECT_TRUE(m.Store(1));
  EXPECT_EQ(m->StorageMemoryUsed(), 201);
  m->ReleaseAllStorageMemory();
  EXPECT_EQ(m->StorageMemoryUsed(), 0);
  EXPECT_TRUE(m.Store(1));
  EXPECT_EQ(m.log().Take(), std::vector<std::string>{});
  m.Unstore(100);
  EXPECT_EQ(m->StorageMemoryUsed(), 0);
  EXPECT_EQ(m.log().Take(),
            (std::vector<std::string>{"WARN Attempted to release 100 bytes of storage memory when "
                                      "we only have 1 bytes"}));
}

TEST_P(ScenarioTest, U3ExecutionEvictsStorage) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(750));
  EXPECT_EQ(m.Pools(), "250/0 750/750");
  EXPECT_EQ(m.Acquire(0, 100), 100);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m.Acquire(0, 200), 200);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{50});
  EXPECT_EQ(m.Pools(), "300/300 700/700");
  m->ReleaseAllStorageMemory();
  EXPECT_TRUE(m.Store(400));
  EXPECT_EQ(m.Pools(), "300/300 700/400");
  EXPECT_EQ(m.Acquire(0, 300), 300);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m.Pools(), "600/600 400/400");
}

// SPARK-12165
TEST_P(ScenarioTest, U4ExecutionRequestsSmallerThanFreeMemoryEvictStorage) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(700));
  EXPECT_EQ(m.Acquire(0, 500), 500);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{200});
  EXPECT_EQ(m.Pools(), "500/500 500/500");
}

TEST_P(ScenarioTest, U5StorageDoesNotEvictExecution) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(0, 800), 800);
  EXPECT_EQ(m.Pools(), "800/800 200/0");
  EXPECT_TRUE(m.Store(100));
  EXPECT_FALSE(m.Store(250));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m->StorageMemoryUsed(), 100);
  m.Release(0, 800);
  m.Unstore(100);
  EXPECT_EQ(m.Acquire(0, 200), 200);
  EXPECT_EQ(m.Pools(), "800/200 200/0");
  EXPECT_TRUE(m.Store(750));
  EXPECT_EQ(m.Pools(), "250/200 750/750");
  EXPECT_FALSE(m.Store(850));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m->ExecutionMemoryUsed(), 200);
}

// SPARK-12155
TEST_P(ScenarioTest, U9TheCapCountsStorageThatCanBeEvicted) {
  TestManager m(GetParam(), {.on_heap_region = 0});
  EXPECT_EQ(m.Acquire(0, 100), 100);
  EXPECT_EQ(m.Acquire(1, 100), 100);
  EXPECT_TRUE(m.Store(800));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m.Pools(), "200/200 800/800");
  EXPECT_EQ(m.Acquire(0, 100), 100);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{100});
  EXPECT_EQ(m->ExecutionMemoryUsed(), 300);
  EXPECT_EQ(m->StorageMemoryUsed(), 700);
}

// SPARK-15260
TEST_P(ScenarioTest, U10AFailedEvictionLeavesThePoolsAlone) {
  TestManager m(GetParam(), {.on_heap_region = 0});
  m.evictor().Do([](int64_t, MemoryMode) -> Result<int64_t> {
    return MemoryError(ErrorCode::kEvictionFailed, "bad memory store!");
  });
  EXPECT_TRUE(m.Store(1000));
  EXPECT_EQ(m.Pools(), "0/0 1000/1000");
  m.Unstore(600);
  ExecutionRequest request;
  request.bytes = 1000;
  const Result<int64_t> result = m->AcquireExecutionMemory(request);
  EXPECT_EQ(result.error().code, ErrorCode::kEvictionFailed);
  EXPECT_STREQ(result.error().detail, "bad memory store!");
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{400});
  EXPECT_EQ(m.Pools(), "0/0 1000/400");
  EXPECT_EQ(m.Keys(), GetParam() == kSpark ? "0:0" : "");
  EXPECT_TRUE(m.Store(500));  // the pools still add up
}

TEST_P(ScenarioTest, U11OffHeapStorage) {
  TestManager m(GetParam(), {.off_heap = 1000, .off_heap_region = 500});
  EXPECT_EQ(m.Acquire(0, 400, kOff), 400);
  EXPECT_EQ(m->MaxStorageMemory(kOff), 600);
  EXPECT_FALSE(m.Store(700, kOff));
  EXPECT_TRUE(m.Store(100, kOff));
  EXPECT_EQ(m.Pools(kOff), "500/400 500/100");
  EXPECT_TRUE(m.Store(450, kOff));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{});
  EXPECT_EQ(m.Pools(kOff), "450/400 550/550");
  EXPECT_TRUE(m.Store(100, kOff));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{50});
  EXPECT_EQ(m.Pools(kOff), "400/400 600/600");
  EXPECT_EQ(m.Pools(), "500/0 500/0");
}

class MeasuredMemory : public UnmanagedMemoryConsumer {
 public:
  MeasuredMemory(UnmanagedMemoryRegistry& registry, const char* type, const char* key,
                 MemoryMode mode, int64_t bytes)
      : UnmanagedMemoryConsumer(type, key, mode), bytes(bytes), registry_(registry) {
    registry_.Register(*this);
  }
  ~MeasuredMemory() { registry_.Unregister(*this); }
  int64_t GetMemBytesUsed() override { return bytes; }

  int64_t bytes;

 private:
  UnmanagedMemoryRegistry& registry_;
};

TEST_P(ScenarioTest, U12UnmanagedMemoryOfItsModeOnly) {
  UnmanagedMemoryRegistry registry;
  TestManager m(GetParam(), {.off_heap = 1000, .off_heap_region = 500}, Sharing::kSpark,
                &registry.totals());
  MeasuredMemory off_heap(registry, "RocksDB", "i1", kOff, 200);
  registry.Poll();
  EXPECT_EQ(m.Acquire(0, 1000), 1000);
  m.Release(0, 1000);
  MeasuredMemory on_heap(registry, "Native", "i2", kOn, 200);
  registry.Poll();
  EXPECT_EQ(m->UnmanagedMemoryUsed(kOn), 200);
  EXPECT_EQ(m.Acquire(0, 900), 800);
  m.Release(0, 800);
  on_heap.bytes = 300;
  registry.Poll();
  m.log().Take();
  EXPECT_FALSE(m.Store(800));
  EXPECT_EQ(m.log().Take(),
            (std::vector<std::string>{"INFO Will not store test_d as the required space (800 "
                                      "bytes) exceeds our memory limit (700 bytes) (unmanaged "
                                      "memory usage: 300 bytes)"}));
  EXPECT_TRUE(m.Store(600));
}

TEST_P(ScenarioTest, U13UnmanagedMemoryRegistration) {
  UnmanagedMemoryRegistry registry;
  TestManager m(GetParam(), {}, Sharing::kSpark, &registry.totals());
  auto first = std::make_unique<MeasuredMemory>(registry, "Test", "i1", kOn, 100);
  auto second = std::make_unique<MeasuredMemory>(registry, "Test", "i2", kOn, 200);
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 300);
  first.reset();
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 200);
  second.reset();
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 0);
  EXPECT_EQ(m->UnmanagedMemoryUsed(kOn), 0);
}

TEST_P(ScenarioTest, U14UnmanagedMemoryIsRemovedWithItsOwner) {
  UnmanagedMemoryRegistry registry;
  TestManager m(GetParam(), {}, Sharing::kSpark, &registry.totals());
  MeasuredMemory first(registry, "Test", "i1", kOn, 100);
  MeasuredMemory second(registry, "Test", "i2", kOn, 200);
  registry.Poll();
  EXPECT_EQ(m->UnmanagedMemoryUsed(kOn), 300);
  first.bytes = UnmanagedMemoryConsumer::kGone;
  registry.Poll();
  EXPECT_EQ(m->UnmanagedMemoryUsed(kOn), 200);
  second.bytes = UnmanagedMemoryConsumer::kGone;
  registry.Poll();
  EXPECT_EQ(m->UnmanagedMemoryUsed(kOn), 0);
}

TEST_P(ScenarioTest, U15UnmanagedMemoryDoesNotCountWithoutPolling) {
  UnmanagedMemoryRegistry registry;
  MeasuredMemory memory(registry, "Test", "i1", kOn, 500);
  registry.Poll();
  MemoryManagerOptions options;
  options.max_heap_bytes = 1000;
  options.on_heap_storage_region_bytes = 500;
  options.compatibility = GetParam();
  UnifiedMemoryManager manager(options);
  ExecutionRequest request;
  request.bytes = 1000;
  const Result<int64_t> grant = manager.AcquireExecutionMemory(request);
  EXPECT_EQ(grant.value(), 1000);
  EXPECT_EQ(manager.UnmanagedMemoryUsed(kOn), 0);
}

TEST_P(ScenarioTest, U16UnmanagedMemoryOffHeap) {
  UnmanagedMemoryRegistry registry;
  TestManager m(GetParam(), {.off_heap = 1500, .off_heap_region = 750}, Sharing::kSpark,
                &registry.totals());
  MeasuredMemory memory(registry, "RocksDB", "i1", kOff, 300);
  registry.Poll();
  EXPECT_EQ(m.Acquire(0, 1400, kOff), 1200);
  m.Release(0, 1200, kOff);
  memory.bytes = 500;
  registry.Poll();
  EXPECT_FALSE(m.Store(1100, kOff));
  EXPECT_TRUE(m.Store(900, kOff));
  m->ReleaseAllStorageMemory();
  EXPECT_EQ(m.Acquire(0, 600), 600);
  m.Release(0, 600);
  memory.bytes = 200;
  registry.Poll();
  EXPECT_EQ(m.Acquire(0, 400), 400);
  EXPECT_EQ(m.Acquire(0, 1000, kOff), 1000);
}

// TestMemoryManagerSuite

TEST_P(ScenarioTest, T1TracksUsageByTask) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(0, 10), 10);
  EXPECT_EQ(m.Acquire(1, 5), 5);
  EXPECT_EQ(m.Acquire(0, 5), 5);
  EXPECT_EQ(m.Usage(0), 15);
  EXPECT_EQ(m.Usage(1), 5);
  m.Release(0, 10);
  EXPECT_EQ(m.Usage(0), 5);
  EXPECT_EQ(m.ReleaseAll(0), 5);
  EXPECT_EQ(m.ReleaseAll(1), 5);
  EXPECT_EQ(m.Usage(0), 0);
  EXPECT_EQ(m.Usage(1), 0);
}

// ExecutionMemoryPoolSuite

// In newer Spark, and here, a task whose key vanished while it waits is registered again.
void ExpectReregistration(MemoryMode mode) {
  TestManager m(kTaskmem, {.off_heap = 1000, .off_heap_region = 500});
  EXPECT_EQ(m.Acquire(2, 900, mode), 900);
  EXPECT_EQ(m.Acquire(1, 100, mode), 100);
  const auto requester = m.BeginAcquire(1, 300, mode);
  m.Release(1, 100, mode);
  EXPECT_EQ(m->WaitingThreads(), 1);
  EXPECT_EQ(m.Keys(mode), "1:0 2:900");
  m.Release(2, 300, mode);
  EXPECT_EQ(requester->Grant(), 300);
  EXPECT_EQ(m.Keys(mode), "1:300 2:600");
  EXPECT_EQ(m->ExecutionMemoryUsed(mode), 900);
  m.Release(1, 300, mode);
  EXPECT_EQ(m.Acquire(2, 100, mode), 100);  // no stale key halves its cap
  EXPECT_EQ(m.Usage(2), 700);
  EXPECT_EQ(m.ReleaseAll(1), 0);
  EXPECT_EQ(m.ReleaseAll(2), 700);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 0);
}

// In Spark 4.2.0 it fails.
void ExpectKeyNotFound(MemoryMode mode) {
  TestManager m(kSpark, {.off_heap = 1000, .off_heap_region = 500});
  EXPECT_EQ(m.Acquire(2, 900, mode), 900);
  EXPECT_EQ(m.Acquire(1, 100, mode), 100);
  const auto requester = m.BeginAcquire(1, 300, mode);
  m.Release(1, 100, mode);
  const Result<int64_t> result = requester->Join();
  EXPECT_EQ(result.error().code, ErrorCode::kKeyNotFound);
  EXPECT_EQ(result.error().requested, 1);
  EXPECT_EQ(m.Keys(mode), "2:900");
  m.Release(2, 300, mode);
  EXPECT_EQ(m.Usage(2), 600);
  EXPECT_EQ(m.ReleaseAll(1), 0);
  EXPECT_EQ(m.Acquire(2, 100, mode), 100);
  EXPECT_EQ(m.ReleaseAll(2), 700);
}

TEST(Scenario, P1AWaitingTaskIsRegisteredAgain) { ExpectReregistration(kOn); }
TEST(Scenario, P1InSpark420ItsKeyIsNotFound) { ExpectKeyNotFound(kOn); }
TEST(Scenario, P2AWaitingTaskIsRegisteredAgainOffHeap) { ExpectReregistration(kOff); }
TEST(Scenario, P2InSpark420ItsKeyIsNotFoundOffHeap) { ExpectKeyNotFound(kOff); }

TEST(Scenario, P3RegisteringAgainWakesPeers) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(3, 800), 800);
  EXPECT_EQ(m.Acquire(2, 100), 100);
  EXPECT_EQ(m.Acquire(1, 100), 100);
  Cancellation cancellation;
  ExecutionRequest request;
  request.task = 1;
  request.bytes = 300;
  request.cancellation = &cancellation;
  const auto t1 = m.BeginAcquire(request);
  // With the last byte its key goes, and comes back at once: N is 3, and 200 are more than
  // 1/6 of the pool.
  m.Release(1, 100);
  EXPECT_EQ(m.Keys(), "1:0 2:100 3:800");
  EXPECT_EQ(m.Acquire(2, 300), 100);
  EXPECT_EQ(m->WaitingThreads(), 1);
  m->Cancel(cancellation);
  EXPECT_EQ(t1->Error(), ErrorCode::kInterrupted);
  EXPECT_EQ(m.ReleaseAll(1), 0);
  EXPECT_EQ(m.ReleaseAll(2), 200);
  EXPECT_EQ(m.ReleaseAll(3), 800);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 0);
}

TEST(Scenario, P3InSpark420ItsPeerWaits) {
  TestManager m(kSpark);
  EXPECT_EQ(m.Acquire(3, 800), 800);
  EXPECT_EQ(m.Acquire(2, 100), 100);
  EXPECT_EQ(m.Acquire(1, 100), 100);
  const auto t1 = m.BeginAcquire(1, 300);
  m.Release(1, 100);
  EXPECT_EQ(t1->Error(), ErrorCode::kKeyNotFound);
  const auto t2 = m.BeginAcquire(2, 300);  // N is 2: 200 are less than 1/4
  m.Release(3, 100);
  EXPECT_EQ(t2->Grant(), 200);
  EXPECT_EQ(m.Keys(), "2:300 3:700");
}

TEST_P(ScenarioTest, P4APartialReleaseWhileWaiting) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(2, 900), 900);
  EXPECT_EQ(m.Acquire(1, 100), 100);
  const auto t1 = m.BeginAcquire(1, 300);
  m.Release(1, 40);
  EXPECT_EQ(m->WaitingThreads(), 1);  // 60 + 40 < 250
  m.Release(2, 300);
  EXPECT_EQ(t1->Grant(), 300);
  EXPECT_EQ(m.Usage(1), 360);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 960);
}

TEST_P(ScenarioTest, P5AnInterruptedWaitKeepsWhatTheTaskHolds) {
  TestManager m(GetParam());
  EXPECT_EQ(m.Acquire(2, 900), 900);
  EXPECT_EQ(m.Acquire(1, 100), 100);
  Cancellation cancellation;
  ExecutionRequest request;
  request.task = 1;
  request.bytes = 300;
  request.cancellation = &cancellation;
  const auto t1 = m.BeginAcquire(request);
  m->Cancel(cancellation);
  EXPECT_EQ(t1->Error(), ErrorCode::kInterrupted);
  EXPECT_EQ(m.Usage(1), 100);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 1000);
  EXPECT_EQ(m.ReleaseAll(1), 100);
  EXPECT_EQ(m.Acquire(2, 100), 100);
  EXPECT_EQ(m.ReleaseAll(2), 1000);
  EXPECT_EQ(m->ExecutionMemoryUsed(), 0);
}

// Further cases

TEST_P(ScenarioTest, X1AFullRegionMakesTasksWait) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(500));
  EXPECT_EQ(m.Acquire(1, 1000), 500);
  const auto t2 = m.BeginAcquire(2, 1);
  EXPECT_EQ(m.Pools(), "500/500 500/500");
  m.Release(1, 1);
  EXPECT_EQ(t2->Grant(), 1);
}

TEST(Scenario, X2InSparkAllUnmanagedMeansWaitingForEver) {
  TestManager m(kSpark);
  m.SetUnmanaged(2000);
  EXPECT_FALSE(m.Store(1));
  EXPECT_EQ(m.log().Take(),
            (std::vector<std::string>{"INFO Will not store test_d as the required space (1 bytes) "
                                      "exceeds our memory limit (0 bytes) (unmanaged memory "
                                      "usage: 2000 bytes)"}));
  Cancellation cancellation;
  ExecutionRequest request;
  request.task = 1;
  request.bytes = 10;
  request.cancellation = &cancellation;
  const auto t1 = m.BeginAcquire(request);
  m.Unstore(0);
  m.Release(2, 0);
  EXPECT_EQ(m->WaitingThreads(), 1);
  m->Cancel(cancellation);
  EXPECT_EQ(t1->Error(), ErrorCode::kInterrupted);
  EXPECT_EQ(m.Keys(), "1:0");
}

TEST(Scenario, X2AllUnmanagedIsAnswered) {
  TestManager m(kTaskmem);
  m.SetUnmanaged(2000);
  EXPECT_FALSE(m.Store(1));
  EXPECT_EQ(m.Acquire(1, 10), 0);
  EXPECT_EQ(m.Acquire(2, 10), 0);
  EXPECT_EQ(m.Keys(), "");
  EXPECT_EQ(m.Pools(), "500/0 500/0");
}

TEST(Scenario, X3InSparkALoneTaskWaitsForUnmanagedMemory) {
  TestManager m(kSpark);
  m.SetUnmanaged(900);
  const auto t1 = m.BeginAcquire(1, 300);
  m.Release(2, 0);
  EXPECT_EQ(m->WaitingThreads(), 1);
  m.SetUnmanaged(0);
  EXPECT_EQ(m->WaitingThreads(), 1);  // nobody tells it
  m.Release(2, 0);
  EXPECT_EQ(t1->Grant(), 300);
}

TEST(Scenario, X3ALoneTaskGetsWhatUnmanagedMemoryLeaves) {
  TestManager m(kTaskmem);
  m.SetUnmanaged(900);
  EXPECT_EQ(m.Acquire(1, 300), 100);
  EXPECT_EQ(m.Acquire(1, 300), 0);
}

TEST(Scenario, X4InSparkWhatStorageBorrowedStays) {
  TestManager m(kSpark);
  m.evictor().Do([](int64_t, MemoryMode) { return int64_t{0}; });  // all of the same RDD
  EXPECT_TRUE(m.Store(250));
  EXPECT_TRUE(m.Store(250));
  EXPECT_FALSE(m.Store(600));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{100});
  EXPECT_EQ(m.Pools(), "0/0 1000/500");
  EXPECT_EQ(m->MaxStorageMemory(kOn), 1000);
}

TEST(Scenario, X4WhatStorageBorrowedInVainGoesBack) {
  TestManager m(kTaskmem);
  m.evictor().Do([](int64_t, MemoryMode) { return int64_t{0}; });
  EXPECT_TRUE(m.Store(250));
  EXPECT_TRUE(m.Store(250));
  EXPECT_FALSE(m.Store(600));
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{100});
  EXPECT_EQ(m.Pools(), "500/0 500/500");
}

TEST_P(ScenarioTest, X5EvictionOvershoots) {
  TestManager m(GetParam());
  m.evictor().Do([&m](int64_t, MemoryMode mode) {
    m.Unstore(700, mode);  // the one block there is
    return int64_t{700};
  });
  EXPECT_TRUE(m.Store(700));
  EXPECT_EQ(m.Pools(), "300/0 700/700");
  EXPECT_EQ(m.Acquire(1, 500), 500);
  EXPECT_EQ(m.evictor().TakeAsked(), Asked{200});
  EXPECT_EQ(m.Pools(), "1000/500 0/0");  // below the region
}

TEST_P(ScenarioTest, X6RequestsOfNothing) {
  TestManager m(GetParam());
  EXPECT_TRUE(m.Store(0));
  EXPECT_TRUE(m.Store(1000));
  EXPECT_TRUE(m.Store(0));
  const Result<bool> negative = m->AcquireStorageMemory("test_d", -1, kOn);
  EXPECT_EQ(negative.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(m.AcquireError({.bytes = 0, .task = 1}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(m.Pools(), "0/0 1000/1000");
  EXPECT_EQ(m.Keys(), "");
}

TEST(Scenario, X7InSparkAnInterruptedWaitLeavesAKey) {
  TestManager m(kSpark);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  Cancellation cancellation;
  ExecutionRequest request;
  request.task = 2;
  request.bytes = 100;
  request.cancellation = &cancellation;
  const auto t2 = m.BeginAcquire(request);
  m->Cancel(cancellation);
  EXPECT_EQ(t2->Error(), ErrorCode::kInterrupted);
  EXPECT_EQ(m.Keys(), "1:1000 2:0");
  m.Release(1, 600);
  EXPECT_EQ(m.Acquire(1, 300), 100);  // N is 2
  EXPECT_EQ(m.ReleaseAll(2), 0);
  EXPECT_EQ(m.Acquire(1, 200), 200);
}

TEST(Scenario, X7AnInterruptedWaitLeavesNoKey) {
  TestManager m(kTaskmem);
  EXPECT_EQ(m.Acquire(1, 1000), 1000);
  Cancellation cancellation;
  ExecutionRequest request;
  request.task = 2;
  request.bytes = 100;
  request.cancellation = &cancellation;
  const auto t2 = m.BeginAcquire(request);
  EXPECT_EQ(m.Keys(), "1:1000 2:0");
  m->Cancel(cancellation);
  EXPECT_EQ(t2->Error(), ErrorCode::kInterrupted);
  EXPECT_EQ(m.Keys(), "1:1000");
  m.Release(1, 600);
  EXPECT_EQ(m.Acquire(1, 300), 300);
}

TEST(Scenario, X8InSparkAStorageReleaseWakesNobody) {
  TestManager m(kSpark);
  EXPECT_TRUE(m.Store(500));
  EXPECT_EQ(m.Acquire(1, 500), 500);
  const auto t2 = m.BeginAcquire(2, 300);
  m.Unstore(500);
  m->ReleaseAllStorageMemory();
  m->NotifyChanged();
  EXPECT_EQ(m->WaitingThreads(), 1);
  EXPECT_EQ(m.Pools(), "500/500 500/0");
  m.Release(9, 0);  // any execution release does
  EXPECT_EQ(t2->Grant(), 300);
  EXPECT_EQ(m.Pools(), "800/800 200/0");
}

TEST(Scenario, X8InSparkTheEndOfATaskWakes) {
  TestManager m(kSpark);
  EXPECT_TRUE(m.Store(500));
  EXPECT_EQ(m.Acquire(1, 500), 500);
  const auto t2 = m.BeginAcquire(2, 300);
  m.Unstore(500);
  m->EndTask(4);
  EXPECT_EQ(t2->Grant(), 300);
  EXPECT_EQ(m.Keys(), "1:500 2:300");
}

TEST(Scenario, X8AStorageReleaseWakes) {
  TestManager m(kTaskmem);
  EXPECT_TRUE(m.Store(500));
  EXPECT_EQ(m.Acquire(1, 500), 500);
  const auto t2 = m.BeginAcquire(2, 300);
  m.Unstore(500);
  EXPECT_EQ(t2->Grant(), 300);
  EXPECT_EQ(m.Pools(), "800/800 200/0");
}

}  // namespace
}  // namespace taskmem
