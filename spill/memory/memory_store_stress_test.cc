// Several threads put, read, remove, evict and lock blocks, and execution takes and gives
// back memory, until nobody goes on: then every byte that is charged must be somebody's.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "spill/memory/store_testing.h"

namespace taskmem {
namespace {

constexpr int kThreads = 4;
constexpr int kStepsPerThread = 10000;
constexpr int kBlocks = 24;
constexpr int64_t kNever = 0;  // a timeout: it does not wait

uint64_t Seed() {
  const char* const given = getenv("TASKMEM_TEST_SEED");
  return given != nullptr ? strtoull(given, nullptr, 10) : std::random_device()();
}

// A handler that keeps every other block "on disk", and now and then fails.
class StressHandler final : public BlockEvictionHandler {
 public:
  StoreResult<StorageLevel> DropFromMemory(MemoryStore& store, const BlockId& id, BlockData data,
                                           int64_t writer) override {
    EXPECT_FALSE(infos->AssertBlockIsLockedForWriting(id, writer));
    const uint32_t drop = drops_.fetch_add(1);
    if (drop % 31 == 30) return StoreError(StoreErrorCode::kDropFailed, "drop failed");
    std::this_thread::yield();
    data.Reset();
    store.Remove(id);
    return drop % 2 == 0 ? StorageLevel::DiskOnly() : StorageLevel::None();
  }

  const BlockInfoManager* infos = nullptr;

 private:
  std::atomic<uint32_t> drops_{0};
};

struct Counts {
  std::atomic<int> stored{0};
  std::atomic<int> refused{0};
  std::atomic<int> read{0};
  std::atomic<int> removed{0};
  std::atomic<int> granted{0};
};

class Worker {
 public:
  Worker(UnifiedMemoryManager& manager, BlockInfoManager& infos, MemoryStore& store, Counts& counts,
         int64_t task, uint64_t seed)
      : manager_(manager),
        infos_(infos),
        store_(store),
        counts_(counts),
        task_(task),
        random_(seed) {}

  void Run() {
    for (int step = 0; step < kStepsPerThread; ++step) {
      if (step % 100 == 0) BeginTask();
      const BlockId id = Id("rdd_" + std::to_string(Up(4)) + "_" + std::to_string(Up(kBlocks / 4)));
      const MemoryMode mode = Up(3) == 0 ? kOff : kOn;
      switch (Up(8)) {
        case 0:
        case 1: PutBytes(id, mode); break;
        case 2: PutValues(id, mode); break;
        case 3: PutSerialized(id, mode); break;
        case 4: Read(id); break;
        case 5: Remove(id); break;
        case 6: Execute(mode); break;
        default: Lock(id); break;
      }
    }
    EndTask();
  }

 private:
  int Up(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }

  void BeginTask() {
    if (task_is_running_) EndTask();
    task_ += kThreads;
    ASSERT_FALSE(infos_.RegisterTask(task_));
    task_is_running_ = true;
  }

  void EndTask() {
    store_.ReleaseAllUnrollMemoryForTask(task_);
    manager_.EndTask(task_);
    infos_.ReleaseAllLocksForTask(task_);
    manager_.ReleaseAllExecutionMemoryForTask(task_);
    task_is_running_ = false;
  }

  bool Register(const BlockId& id) {
    const StoreResult<bool> is_new =
        infos_.LockNewBlockForWriting(id, StorageLevel::MemoryAndDisk(), task_, false);
    return is_new.ok() && *is_new;
  }

  void Finish(const BlockId& id, bool is_stored) {
    ++(is_stored ? counts_.stored : counts_.refused);
    const StoreError error = is_stored ? infos_.Unlock(id, task_) : infos_.RemoveBlock(id, task_);
    EXPECT_FALSE(error) << static_cast<int>(error.code);
  }

  void PutBytes(const BlockId& id, MemoryMode mode) {
    if (!Register(id)) return;
    const int64_t size = Up(400);
    TestSupplier supplier(size);
    supplier.fails = Up(20) == 0;
    const StoreResult<bool> stored = store_.PutBytes(id, size, mode, supplier);
    Finish(id, stored.ok() && *stored);
  }

  void PutValues(const BlockId& id, MemoryMode mode) {
    if (!Register(id)) return;
    TestValues values(Up(60), 1, Up(15) == 0 ? 20 : INT64_MAX);
    LinearSizes sizes(10);
    TestCloser closer;
    PartiallyUnrolledIterator partial;
    const StoreResult<PutOutcome> outcome = store_.PutIteratorAsValues(
        {.id = &id, .mode = mode, .task = task_, .values = &values}, nullptr, sizes, &partial);
    Finish(id, outcome.ok() && outcome->is_stored);
    for (int i = Up(80); i > 0 && partial.HasNext(task_); --i) partial.Next();
  }

  void PutSerialized(const BlockId& id, MemoryMode mode) {
    if (!Register(id)) return;
    TestValues values(Up(60));
    TestSerializer serializer(10);
    PartiallyUnrolledIterator iterator;
    PartiallySerializedBlock partial;
    const StoreResult<PutOutcome> outcome = store_.PutIteratorAsBytes(
        {.id = &id, .mode = mode, .task = task_, .values = &values}, serializer, &partial);
    Finish(id, outcome.ok() && outcome->is_stored);
    if (!outcome.ok() || outcome->is_stored) return;
    TestSink sink;
    switch (Up(3)) {
      case 0: partial.Discard(task_); break;
      case 1: EXPECT_TRUE(partial.FinishWritingToStream(task_, sink).ok()); break;
      default:
        EXPECT_FALSE(partial.ValuesIterator(task_, &iterator));
        while (iterator.HasNext(task_)) iterator.Next();
        break;
    }
  }

  void Read(const BlockId& id) {
    const StoreResult<LockOutcome> locked =
        infos_.LockForReading(id, task_, {.timeout_ns = Up(2) == 0 ? kNever : int64_t{100'000}});
    if (!locked.ok() || *locked != LockOutcome::kLocked) return;
    if (const StoreResult<BlockData> data = store_.GetBytes(id); data.ok() && *data) {
      ++counts_.read;
      int64_t sum = 0;
      data->bytes().ForEachChunk([&sum](const char* bytes, int64_t count) {
        for (int64_t i = 0; i < count; ++i) sum += bytes[i] != '\0';
      });
      EXPECT_EQ(sum, data->size());
    }
    EXPECT_FALSE(infos_.Unlock(id, task_));
  }

  void Remove(const BlockId& id) {
    const StoreResult<LockOutcome> locked = infos_.LockForWriting(id, task_, LockWait::None());
    if (!locked.ok() || *locked != LockOutcome::kLocked) return;
    if (store_.Remove(id)) ++counts_.removed;
    EXPECT_FALSE(infos_.RemoveBlock(id, task_));
  }

  void Execute(MemoryMode mode) {
    const Result<int64_t> granted = manager_.AcquireExecutionMemory(
        {.bytes = 1 + Up(600), .task = task_, .mode = mode, .timeout_ns = kNever});
    if (!granted.ok()) return;
    ++counts_.granted;
    manager_.ReleaseExecutionMemory(*granted / 2, task_, mode);
  }

  // Left to the end of the task.
  void Lock(const BlockId& id) {
    const StoreResult<LockOutcome> locked = infos_.LockForReading(id, task_, LockWait::None());
    if (!locked.ok() || *locked != LockOutcome::kLocked || Up(4) == 0) return;
    EXPECT_FALSE(infos_.Unlock(id, task_));
  }

  UnifiedMemoryManager& manager_;
  BlockInfoManager& infos_;
  MemoryStore& store_;
  Counts& counts_;
  int64_t task_;
  bool task_is_running_ = false;
  std::mt19937_64 random_;
};

void ExpectPoolsAreSound(const UnifiedMemoryManager& manager, MemoryMode mode, int64_t max) {
  const UnifiedMemoryManager::Pools pools = manager.GetPools(mode);
  EXPECT_EQ(pools.execution_size + pools.storage_size, max);
  EXPECT_GE(pools.execution_used, 0);
  EXPECT_LE(pools.execution_used, pools.execution_size);
  EXPECT_GE(pools.storage_used, 0);
  EXPECT_LE(pools.storage_used, pools.storage_size);
}

class MemoryStoreStressTest : public ::testing::TestWithParam<Compatibility> {};

TEST_P(MemoryStoreStressTest, EveryByteIsSomebodys) {
  constexpr int64_t kMax = 4000;
  const uint64_t seed = Seed();
  std::cout << "seed " << seed << " (TASKMEM_TEST_SEED)\n";
  TestMemory memory;
  {
    MemoryManagerOptions options;
    options.max_heap_bytes = options.max_off_heap_bytes = kMax;
    options.on_heap_storage_region_bytes = options.off_heap_storage_region_bytes = kMax / 2;
    options.compatibility = GetParam();
    UnifiedMemoryManager manager(options);
    BlockInfoManager infos(
        {.compatibility = GetParam(), .manager = &manager, .source = memory.Source()});
    StressHandler handler;
    handler.infos = &infos;
    MemoryStore store(manager, infos, handler,
                      {.unroll_threshold_bytes = 64, .source = memory.Source()});
    manager.SetMemoryStore(&store);

    Counts counts;
    std::atomic<bool> is_over{false};
    std::thread checker([&] {
      while (!is_over) {
        for (const MemoryMode mode : {kOn, kOff}) ExpectPoolsAreSound(manager, mode, kMax);
        infos.ForEach([](const BlockInfo& info) {
          EXPECT_TRUE(info.writer == BlockInfoManager::kNoWriter || info.readers == 0);
        });
        std::this_thread::yield();
      }
    });
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        Worker(manager, infos, store, counts, i, seed + static_cast<uint64_t>(i)).Run();
      });
    }
    for (std::thread& thread : threads) thread.join();
    is_over = true;
    checker.join();

    EXPECT_GT(counts.stored, 0);
    EXPECT_GT(counts.refused, 0);
    EXPECT_GT(counts.read, 0);
    EXPECT_GT(counts.removed, 0);
    EXPECT_GT(counts.granted, 0);
    int64_t charged[kMemoryModes] = {};
    store.ForEachEntry([&](const MemoryEntry& entry) {
      charged[IndexOf(entry.mode)] += entry.size;
      BlockInfo info = {};
      // No lock of the manager's: nobody else is there.
      EXPECT_TRUE(infos.Get(entry.id, &info)) << entry.id.name();
    });
    EXPECT_EQ(store.unroll_memory().Total(), 0);
    EXPECT_EQ(infos.WaitingThreads(), 0);
    infos.ForEach([](const BlockInfo& info) {
      EXPECT_EQ(info.writer, BlockInfoManager::kNoWriter) << info.id.name();
      EXPECT_EQ(info.readers, 0) << info.id.name();
    });
    for (const MemoryMode mode : {kOn, kOff}) {
      ExpectPoolsAreSound(manager, mode, kMax);
      EXPECT_EQ(manager.ExecutionMemoryUsed(mode), 0);
      if (GetParam() == Compatibility::kTaskmem) {
        EXPECT_EQ(manager.StorageMemoryUsed(mode), charged[IndexOf(mode)]);
      } else {
        // Suppliers that failed have leaked (MS-5).
        EXPECT_GE(manager.StorageMemoryUsed(mode), charged[IndexOf(mode)]);
      }
    }
    store.Clear();
    EXPECT_EQ(manager.StorageMemoryUsed(), 0);
  }
  EXPECT_EQ(memory.live(), 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, MemoryStoreStressTest,
                         ::testing::Values(Compatibility::kSpark, Compatibility::kTaskmem),
                         [](const auto& each) {
                           return each.param == Compatibility::kSpark ? "kSpark" : "kTaskmem";
                         });

}  // namespace
}  // namespace taskmem
