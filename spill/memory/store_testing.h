// What tests of the block store share: a handler like the one of Spark's own tests, and a
// store with everything it needs.
#ifndef TASKMEM_SPILL_MEMORY_STORE_TESTING_H_
#define TASKMEM_SPILL_MEMORY_STORE_TESTING_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "accounting/pools/manager_testing.h"
#include "spill/memory/memory_store.h"
#include "spill/memory/store_testing_values.h"

namespace taskmem {

// Removes a block and forgets it, except where a test says otherwise.
class TestHandler final : public BlockEvictionHandler {
 public:
  StoreResult<StorageLevel> DropFromMemory(MemoryStore& store, const BlockId& id, BlockData data,
                                           int64_t writer) override {
    std::function<void(const BlockId&)> action;
    {
      const std::lock_guard lock(mutex_);
      if (infos != nullptr) {
        EXPECT_FALSE(infos->AssertBlockIsLockedForWriting(id, writer));
      }
      if (drops_until_failure-- == 0 || failing.contains(std::string(id.name()))) {
        return StoreError(StoreErrorCode::kDropFailed, "drop failed");
      }
      EXPECT_EQ(data.id(), id);
      dropped_.emplace_back(id.name());
      action = on_drop;
    }
    if (action) action(id);
    data.Reset();
    store.Remove(id);
    return keeps_on_disk ? StorageLevel::DiskOnly() : StorageLevel::None();
  }

  std::vector<std::string> TakeDropped() {
    const std::lock_guard lock(mutex_);
    return std::exchange(dropped_, {});
  }

  const BlockInfoManager* infos = nullptr;
  int64_t drops_until_failure = INT64_MAX;
  std::set<std::string> failing;
  bool keeps_on_disk = false;
  std::function<void(const BlockId&)> on_drop;  // with no lock held

 private:
  std::mutex mutex_;
  std::vector<std::string> dropped_;
};

// Capacity and threshold as in Spark's MemoryStoreSuite, where nothing else is said.
struct TestStoreOptions {
  int64_t on_heap = 12000;
  int64_t on_heap_region = 11999;
  int64_t off_heap = 0;
  int64_t off_heap_region = 0;
  int64_t threshold = 512;
  MemorySource source = SystemMemory();
};

class TestStore {
 public:
  using Options = TestStoreOptions;

  explicit TestStore(Compatibility compatibility, const Options& options = Options())
      : manager(ManagerOptions(compatibility, options, &totals, &log)),
        infos({.compatibility = compatibility, .manager = &manager, .source = options.source}),
        store(manager, infos, handler,
              {.unroll_threshold_bytes = options.threshold, .source = options.source}) {
    manager.SetMemoryStore(&store);
    handler.infos = &infos;
  }

  // As the block manager does: registers the block, puts it, and unlocks it or forgets it.
  bool PutBytes(std::string_view name, int64_t size, MemoryMode mode = kOn,
                StoreErrorCode expected = StoreErrorCode::kNone) {
    const BlockId id = Id(name);
    TestSupplier supplier(size);
    supplier.fails = expected == StoreErrorCode::kSupplierFailed;
    Register(id);
    const StoreResult<bool> stored = store.PutBytes(id, size, mode, supplier);
    EXPECT_EQ(stored.error().code, expected);
    EXPECT_EQ(supplier.calls, (stored.ok() && *stored) || supplier.fails ? 1 : 0);
    return Finish(id, stored.ok() && *stored);
  }

  // `count` values of so many bytes, and some more for all of them: 4976 and 40976 bytes
  // for 100 and 1000, much like the lists of MemoryStoreSuite.
  PutOutcome PutValues(std::string_view name, int64_t bytes_each,
                       PartiallyUnrolledIterator* partial = nullptr, int64_t bytes_more = 976,
                       MemoryMode mode = kOn, int64_t count = 40) {
    LinearSizes sizes(bytes_each, bytes_more);
    // The rest of the values is in the partial as long as that lives.
    values_.push_back(std::make_unique<TestValues>(count));
    return PutValuesOf(name, *values_.back(), sizes, partial, mode);
  }

  PutOutcome PutValuesOf(std::string_view name, ValueIterator& values, SizeEstimator& sizes,
                         PartiallyUnrolledIterator* partial = nullptr, MemoryMode mode = kOn,
                         ValueCloser* closer = nullptr,
                         StoreErrorCode expected = StoreErrorCode::kNone) {
    const BlockId id = Id(name);
    PartiallyUnrolledIterator own;
    Register(id);
    const StoreResult<PutOutcome> outcome = store.PutIteratorAsValues(
        {.id = &id, .mode = mode, .task = task, .values = &values, .cancellation = cancellation},
        closer, sizes, partial != nullptr ? partial : &own);
    EXPECT_EQ(outcome.error().code, expected);
    Finish(id, outcome.ok() && outcome->is_stored);
    return outcome.ok() ? *outcome : PutOutcome();
  }

  PutOutcome PutIteratorAsBytes(std::string_view name, ValueIterator& values,
                                ValueSerializer& serializer, PartiallySerializedBlock* partial,
                                MemoryMode mode = kOn,
                                StoreErrorCode expected = StoreErrorCode::kNone) {
    const BlockId id = Id(name);
    Register(id);
    const StoreResult<PutOutcome> outcome = store.PutIteratorAsBytes(
        {.id = &id, .mode = mode, .task = task, .values = &values, .cancellation = cancellation},
        serializer, partial);
    EXPECT_EQ(outcome.error().code, expected);
    Finish(id, outcome.ok() && outcome->is_stored);
    return outcome.ok() ? *outcome : PutOutcome();
  }

  bool Has(std::string_view name) { return store.Contains(Id(name)); }
  int64_t Unroll() { return store.unroll_memory().Total(); }
  int64_t UnrollOf(int64_t of_task) { return store.unroll_memory().OfTask(of_task); }

  // "b1 b2": names from the least to the most recently used.
  std::string Order() {
    std::string order;
    store.ForEachEntry([&order](const MemoryEntry& entry) {
      if (!order.empty()) order += ' ';
      order += entry.id.name();
    });
    return order;
  }

  int64_t SumOfSizes() {
    int64_t sum = 0;
    store.ForEachEntry([&sum](const MemoryEntry& entry) { sum += entry.size; });
    return sum;
  }

  int64_t Locked() {
    int64_t locked = 0;
    infos.ForEach([&locked](const BlockInfo& info) {
      if (info.writer != BlockInfoManager::kNoWriter || info.readers != 0) ++locked;
    });
    return locked;
  }

  int64_t task = MemoryStore::kNoTask;              // that puts
  StorageLevel level = StorageLevel::MemoryOnly();  // of what is put
  const Cancellation* cancellation = nullptr;
  bool pins = false;  // what is put stays locked for reading

  UnmanagedTotals totals;
  TestLog log;
  TestHandler handler;
  UnifiedMemoryManager manager;
  BlockInfoManager infos;
  MemoryStore store;

 private:
  static MemoryManagerOptions ManagerOptions(Compatibility compatibility, const Options& options,
                                             UnmanagedTotals* totals, MemoryLog* log) {
    MemoryManagerOptions result;
    result.max_heap_bytes = options.on_heap;
    result.on_heap_storage_region_bytes = options.on_heap_region;
    result.max_off_heap_bytes = options.off_heap;
    result.off_heap_storage_region_bytes = options.off_heap_region;
    result.compatibility = compatibility;
    result.unmanaged = totals;
    result.log = log;
    return result;
  }

  void Register(const BlockId& id) {
    const StoreResult<bool> is_new =
        infos.LockNewBlockForWriting(id, level, BlockInfoManager::kNonTaskWriter, false);
    EXPECT_TRUE(is_new.ok() && *is_new) << id.name() << " exists";
  }

  bool Finish(const BlockId& id, bool is_stored) {
    constexpr int64_t kWriter = BlockInfoManager::kNonTaskWriter;
    const StoreError error = !is_stored ? infos.RemoveBlock(id, kWriter)
                             : pins     ? infos.DowngradeLock(id, kWriter)
                                        : infos.Unlock(id, kWriter);
    EXPECT_FALSE(error) << static_cast<int>(error.code);
    return is_stored;
  }

  std::vector<std::unique_ptr<TestValues>> values_;
};

inline std::string ModeName(const ::testing::TestParamInfo<Compatibility>& each) {
  return each.param == Compatibility::kSpark ? "kSpark" : "kTaskmem";
}

// A store in either mode.
class MemoryStoreTest : public ::testing::TestWithParam<Compatibility> {
 protected:
  bool IsSpark() const { return GetParam() == Compatibility::kSpark; }

  // Nothing is charged that nobody has.
  static void ExpectBalanced(TestStore& test) {
    EXPECT_EQ(test.manager.StorageMemoryUsed(), test.SumOfSizes() + test.Unroll());
  }

  TestStore test_{GetParam()};
  MemoryStore& store_ = test_.store;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_STORE_TESTING_H_
