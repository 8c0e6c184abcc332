// Random operations of many threads, and what must hold whatever they do:
//
//   at any time      0 <= used <= size of each pool; the sizes of a mode add up to its maximum
//   when all rest    each task's bytes are what its threads hold, used is their sum;
//                    storage's used is the sum of the blocks;
//                    nobody waits for what could be had now
//   in the end       all is given back, and nothing is used
//
// No wake-up is lost, or the program would not end: a watchdog then says where it stands.
// TASKMEM_TEST_SEED repeats a run, as far as threads can be repeated.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "accounting/pools/manager_testing.h"
#include "accounting/pools/unified_memory_manager.h"

namespace taskmem {
namespace {

constexpr int kThreads = 8;
// Of all threads, in each of the tests.
#ifdef __SANITIZE_THREAD__
constexpr int64_t kOperations = 100'000;
#else
constexpr int64_t kOperations = 400'000;
#endif
constexpr int64_t kOperationsBetweenRests = 200;
constexpr auto kWatchdogTimeout = std::chrono::seconds(60);

constexpr int64_t kMaxBytes[kMemoryModes] = {100'000, 60'000};
constexpr int64_t kRegionBytes[kMemoryModes] = {40'000, 30'000};
constexpr MemoryMode kModes[] = {kOn, kOff};

// A task of each thread's own, and one that it shares with its neighbour.
constexpr int kTasksOfAThread = 2;
constexpr int64_t kNobody = 1'000'000;
int64_t OwnTask(int thread) { return 1 + thread; }
int64_t SharedTask(int thread) { return 100 + thread / 2; }

uint64_t Seed() {
  const char* const text = getenv("TASKMEM_TEST_SEED");
  return text != nullptr ? strtoull(text, nullptr, 0) : std::random_device()();
}

using Random = std::mt19937_64;

int64_t Below(Random& random, int64_t bound) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
}

// Blocks in storage memory. Those that are not pinned are evicted, the oldest first.
class Store : public BlockEvictor {
 public:
  explicit Store(UnifiedMemoryManager& manager) : manager_(manager) {}

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view*, int64_t bytes,
                                         MemoryMode mode) override {
    const std::lock_guard lock(mutex_);
    if (++evictions_ % 16 == 0) return MemoryError(ErrorCode::kEvictionFailed);
    int64_t evictable = 0;
    for (const Block& block : blocks_) {
      if (block.mode == mode && !block.is_pinned) evictable += block.bytes;
    }
    if (is_closed_ || evictable < bytes) return int64_t{0};
    int64_t freed = 0;
    std::erase_if(blocks_, [&](const Block& block) {
      if (freed >= bytes || block.mode != mode || block.is_pinned) return false;
      freed += block.bytes;
      return true;
    });
    manager_.ReleaseStorageMemory(freed, mode);
    return freed;
  }

  void Put(int64_t bytes, MemoryMode mode, bool is_pinned) {
    const Result<bool> granted = manager_.AcquireStorageMemory("test", bytes, mode);
    if (!granted.ok()) {
      EXPECT_EQ(granted.error().code, ErrorCode::kEvictionFailed);
      return;
    }
    if (!granted.value()) return;
    const std::lock_guard lock(mutex_);
    blocks_.push_back({bytes, mode, is_pinned});
    ++puts_;
  }

  void Remove(Random& random) {
    const std::lock_guard lock(mutex_);
    if (blocks_.empty()) return;
    const auto block = blocks_.begin() + Below(random, static_cast<int64_t>(blocks_.size()));
    manager_.ReleaseStorageMemory(block->bytes, block->mode);
    blocks_.erase(block);
  }

  void Unpin(Random& random) {
    {
      const std::lock_guard lock(mutex_);
      if (blocks_.empty()) return;
      blocks_[random() % blocks_.size()].is_pinned = false;
    }
    manager_.NotifyChanged();
  }

  void Clear() {
    const std::lock_guard lock(mutex_);
    for (const Block& block : blocks_) manager_.ReleaseStorageMemory(block.bytes, block.mode);
    blocks_.clear();
  }

  // Evicts nothing while it is closed.
  void SetClosed(bool is_closed) {
    const std::lock_guard lock(mutex_);
    is_closed_ = is_closed;
  }

  int64_t Bytes(MemoryMode mode) {
    const std::lock_guard lock(mutex_);
    int64_t sum = 0;
    for (const Block& block : blocks_) sum += block.mode == mode ? block.bytes : 0;
    return sum;
  }
  int64_t puts() const { return puts_; }

 private:
  struct Block {
    int64_t bytes;
    MemoryMode mode;
    bool is_pinned;
  };
  UnifiedMemoryManager& manager_;
  std::mutex mutex_;
  std::vector<Block> blocks_;
  bool is_closed_ = false;
  uint64_t evictions_ = 0;
  int64_t puts_ = 0;
};

class Stress {
 public:
  Stress(Compatibility compatibility, bool has_unmanaged)
      : seed_(Seed()), has_unmanaged_(has_unmanaged), manager_(Options(compatibility)) {
    manager_.SetMemoryStore(&store_);
    for (int i = 0; i < kThreads; ++i) workers_.push_back(std::make_unique<Worker>(seed_, i));
    printf("TASKMEM_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    fflush(stdout);
  }

  void Run() {
    std::thread watchdog([this] { Watch(); });
    std::thread checker([this] {
      while (!has_ended_.load()) CheckPools();
    });
    std::vector<std::thread> threads;
    for (const auto& worker : workers_) {
      threads.emplace_back([this, &worker] { Work(*worker); });
    }
    while (!HaveAllFinished()) Rest();
    for (std::thread& thread : threads) thread.join();
    CheckEnd();
    has_ended_.store(true);
    checker.join();
    {
      const std::lock_guard lock(watchdog_mutex_);
      is_over_ = true;
    }
    watchdog_wakes_.notify_all();
    watchdog.join();
  }

 private:
  enum class State : uint8_t { kRuns, kWaitsForMemory, kRests, kFinished };

  struct Worker {
    Worker(uint64_t seed, int index)
        : index(index), random(seed * 1000 + static_cast<uint64_t>(index)) {}
    int64_t TaskOf(int which) const { return which == 0 ? OwnTask(index) : SharedTask(index); }

    const int index;
    Random random;
    std::atomic<State> state{State::kRuns};
    // Bytes that the thread holds, by task and mode.
    std::atomic<int64_t> held[kTasksOfAThread][kMemoryModes] = {};
    // What it waits for without end.
    ExecutionRequest request;
    std::mutex mutex;
    std::shared_ptr<Cancellation> cancellation;  // of the request under way
    // How its requests ended, to see that all ways are gone.
    int64_t endings[64] = {};
    int64_t endless_grants = 0;
  };

  MemoryManagerOptions Options(Compatibility compatibility) {
    MemoryManagerOptions options;
    options.max_heap_bytes = kMaxBytes[0];
    options.on_heap_storage_region_bytes = kRegionBytes[0];
    options.max_off_heap_bytes = kMaxBytes[1];
    options.off_heap_storage_region_bytes = kRegionBytes[1];
    options.compatibility = compatibility;
    options.unmanaged = &unmanaged_;
    return options;
  }

  bool IsSpark() const { return manager_.compatibility() == Compatibility::kSpark; }

  // A worker

  void Work(Worker& worker) {
    for (int64_t i = 0; i < kOperations / kThreads; ++i) {
      if (wants_rest_.load()) {
        worker.state.store(State::kRests);
        wants_rest_.wait(true);
        worker.state.store(State::kRuns);
      }
      Step(worker);
      operations_.fetch_add(1);
      // On few processors threads would else do much at a time, and seldom meet.
      if (worker.random() % 4 == 0) std::this_thread::yield();
    }
    ReleaseAllBut(worker, -1, kOn);
    worker.state.store(State::kFinished);
  }

  void Step(Worker& worker) {
    Random& random = worker.random;
    const int which = static_cast<int>(random() % kTasksOfAThread);
    const MemoryMode mode = kModes[random() % kMemoryModes];
    const int64_t task = worker.TaskOf(which);
    std::atomic<int64_t>& held = worker.held[which][IndexOf(mode)];
    switch (random() % 20) {
      case 0:
      case 1: AcquireEndlessly(worker, which, mode); break;
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7: AcquireForAWhile(worker, which, mode); break;
      case 8:
      case 9:
      case 10: {
        const int64_t bytes = Below(random, held.load() + 1);
        EXPECT_EQ(manager_.ReleaseExecutionMemory(bytes, task, mode), bytes);
        held.fetch_sub(bytes);
        break;
      }
      case 11:
        EXPECT_EQ(manager_.ReleaseAllExecutionMemoryForTask(OwnTask(worker.index)),
                  worker.held[0][0].exchange(0) + worker.held[0][1].exchange(0));
        break;
      case 12:
      case 13:
      case 14: store_.Put(Below(random, 20'000), mode, random() % 4 == 0); break;
      case 15: store_.Remove(random); break;
      case 16: store_.Unpin(random); break;
      case 17: manager_.EndTask(workers_[random() % kThreads]->TaskOf(which)); break;
      case 18: CancelSomebody(random); break;
      case 19: ChangeWhatIsBesideThePools(worker, which, mode); break;
    }
  }

  ExecutionRequest NewRequest(Worker& worker, int which, MemoryMode mode) {
    ExecutionRequest request;
    request.task = worker.TaskOf(which);
    request.mode = mode;
    request.bytes = 1 + Below(worker.random, kMaxBytes[IndexOf(mode)] / 2);
    if (worker.random() % 4 == 0) request.at_least = Below(worker.random, request.bytes + 1);
    return request;
  }

  void Acquire(Worker& worker, const ExecutionRequest& request, std::atomic<int64_t>& held) {
    const Result<int64_t> result = manager_.AcquireExecutionMemory(request);
    ++worker.endings[static_cast<int>(result.error().code)];
    if (!result.ok()) return;
    EXPECT_GE(*result, 0);
    EXPECT_LE(*result, request.bytes);
    EXPECT_TRUE(*result == 0 || *result >= request.at_least);
    held.fetch_add(*result);
  }

  // Holding nothing else: who waits for one thing and holds another may wait for ever.
  void AcquireEndlessly(Worker& worker, int which, MemoryMode mode) {
    ReleaseAllBut(worker, which, mode);
    const ExecutionRequest request = NewRequest(worker, which, mode);
    {
      const std::lock_guard lock(worker.mutex);
      worker.request = request;
    }
    worker.state.store(State::kWaitsForMemory);
    Acquire(worker, request, worker.held[which][IndexOf(mode)]);
    worker.state.store(State::kRuns);
  }

  void AcquireForAWhile(Worker& worker, int which, MemoryMode mode) {
    ExecutionRequest request = NewRequest(worker, which, mode);
    const auto cancellation = std::make_shared<Cancellation>();
    request.timeout_ns = worker.random() % 2 == 0 ? 0 : Below(worker.random, 200'000);
    request.cancellation = cancellation.get();
    {
      const std::lock_guard lock(worker.mutex);
      worker.cancellation = cancellation;
    }
    Acquire(worker, request, worker.held[which][IndexOf(mode)]);
    const std::lock_guard lock(worker.mutex);
    worker.cancellation = nullptr;
  }

  void CancelSomebody(Random& random) {
    Worker& other = *workers_[random() % kThreads];
    std::shared_ptr<Cancellation> cancellation;
    {
      const std::lock_guard lock(other.mutex);
      cancellation = other.cancellation;
    }
    if (cancellation != nullptr) manager_.Cancel(*cancellation);
  }

  void ChangeWhatIsBesideThePools(Worker& worker, int which, MemoryMode mode) {
    Random& random = worker.random;
    if (!has_unmanaged_) return;
    if (!IsSpark() && random() % 2 == 0) {
      const int64_t bytes = Below(random, 5000);
      EXPECT_TRUE(manager_.OverdrawExecutionMemory(bytes, worker.TaskOf(which), mode));
      worker.held[which][IndexOf(mode)].fetch_add(bytes);
      return;
    }
    unmanaged_.Set(mode, random() % 8 == 0 ? INT64_MAX : Below(random, kMaxBytes[IndexOf(mode)]));
    manager_.NotifyChanged();
  }

  void ReleaseAllBut(Worker& worker, int which, MemoryMode mode) {
    for (int i = 0; i < kTasksOfAThread; ++i) {
      for (const MemoryMode other : kModes) {
        if (i == which && other == mode) continue;
        const int64_t bytes = worker.held[i][IndexOf(other)].exchange(0);
        EXPECT_EQ(manager_.ReleaseExecutionMemory(bytes, worker.TaskOf(i), other), bytes);
      }
    }
  }

  // Who looks

  void CheckPools() {
    for (const MemoryMode mode : kModes) {
      const UnifiedMemoryManager::Pools pools = manager_.GetPools(mode);
      const int64_t max_bytes = kMaxBytes[IndexOf(mode)];
      EXPECT_GE(pools.execution_used, 0);
      EXPECT_GE(pools.storage_used, 0);
      EXPECT_GE(pools.overdrawn, 0);
      EXPECT_GE(pools.active_tasks, 0);
      EXPECT_LE(pools.execution_used, pools.execution_size);
      EXPECT_LE(pools.storage_used, pools.storage_size);
      EXPECT_EQ(pools.execution_size + pools.storage_size, max_bytes);
      int64_t sum = 0;
      manager_.ForEachTask(mode, [&sum](const TaskEntry& entry) { sum += entry.bytes; });
      EXPECT_LE(sum, max_bytes);
    }
    std::this_thread::yield();
  }

  bool HaveAllFinished() const {
    for (const auto& worker : workers_) {
      if (worker->state.load() != State::kFinished) return false;
    }
    return true;
  }

  // Waits until every thread rests or waits for memory without end.
  bool IsQuiet() const {
    int waiting = 0;
    for (const auto& worker : workers_) {
      const State state = worker->state.load();
      if (state == State::kRuns) return false;
      waiting += state == State::kWaitsForMemory;
    }
    return manager_.WaitingThreads() == waiting;
  }

  void Rest() {
    const int64_t until = operations_.load() + kOperationsBetweenRests;
    while (operations_.load() < until && !HaveAllFinished()) {
      if (IsSpark()) WakeAsSparkNeeds();
      std::this_thread::yield();
    }
    wants_rest_.store(true);
    while (!IsQuiet()) std::this_thread::yield();
    CheckAtRest();
    wants_rest_.store(false);
    wants_rest_.notify_all();
  }

  // In Spark waiters hear nothing of storage nor of unmanaged memory, and may wait for what
  // only the fall of the latter gives (UNM-7); sooner or later some task ends.
  void WakeAsSparkNeeds() {
    for (const MemoryMode mode : kModes) unmanaged_.Set(mode, 0);
    manager_.EndTask(kNobody);
  }

  void CheckAtRest() {
    for (const MemoryMode mode : kModes) {
      std::map<int64_t, int64_t> expected;
      for (const auto& worker : workers_) {
        for (int i = 0; i < kTasksOfAThread; ++i) {
          expected[worker->TaskOf(i)] += worker->held[i][IndexOf(mode)].load();
        }
      }
      std::map<int64_t, int64_t> booked;
      int64_t granted = 0;
      int64_t overdrawn = 0;
      manager_.ForEachTask(mode, [&](const TaskEntry& entry) {
        booked[entry.task] = entry.bytes + entry.overdrawn;
        granted += entry.bytes;
        overdrawn += entry.overdrawn;
      });
      std::erase_if(expected, [](const auto& task) { return task.second == 0; });
      std::erase_if(booked, [](const auto& task) { return task.second == 0; });
      EXPECT_EQ(booked, expected);
      const UnifiedMemoryManager::Pools pools = manager_.GetPools(mode);
      EXPECT_EQ(pools.execution_used, granted);
      EXPECT_EQ(pools.overdrawn, overdrawn);
      EXPECT_EQ(pools.storage_used, store_.Bytes(mode));
    }
    if (IsSpark()) return;  // whose waiters are not told of everything

    store_.SetClosed(true);
    for (const auto& worker : workers_) {
      if (worker->state.load() != State::kWaitsForMemory) continue;
      ++waits_at_rest_;
      ExecutionRequest request;
      {
        const std::lock_guard lock(worker->mutex);
        request = worker->request;
      }
      request.timeout_ns = 0;
      const Result<int64_t> result = manager_.AcquireExecutionMemory(request);
      const ErrorCode code = result.error().code;
      EXPECT_TRUE(code == ErrorCode::kTimedOut || code == ErrorCode::kEvictionFailed)
          << "task " << request.task << " waits for " << request.bytes << " bytes, at least "
          << request.at_least << ", and could have " << *result << "; seed " << seed_;
    }
    store_.SetClosed(false);
  }

  void CheckEnd() {
    EXPECT_EQ(manager_.WaitingThreads(), 0);
    store_.Clear();
    for (const auto& worker : workers_) {
      for (int i = 0; i < kTasksOfAThread; ++i) {
        EXPECT_EQ(manager_.ReleaseAllExecutionMemoryForTask(worker->TaskOf(i)), 0);
      }
    }
    for (const MemoryMode mode : kModes) {
      const UnifiedMemoryManager::Pools pools = manager_.GetPools(mode);
      EXPECT_EQ(pools.execution_used, 0);
      EXPECT_EQ(pools.storage_used, 0);
      EXPECT_EQ(pools.overdrawn, 0);
      EXPECT_EQ(pools.active_tasks, 0);
    }
    // The random operations have been of use.
    int64_t endings[64] = {};
    for (const auto& worker : workers_) {
      for (int i = 0; i < 64; ++i) endings[i] += worker->endings[i];
    }
    const auto ended = [&endings](ErrorCode code) { return endings[static_cast<int>(code)]; };
    EXPECT_GT(ended(ErrorCode::kNone), 0);
    EXPECT_GT(ended(ErrorCode::kTimedOut), 0);
    EXPECT_GT(store_.puts(), 0);
    printf(
        "granted %lld, timed out %lld, interrupted %lld, task ended %lld, key not found %lld, "
        "eviction failed %lld; waits seen at rest %lld\n",
        static_cast<long long>(ended(ErrorCode::kNone)),
        static_cast<long long>(ended(ErrorCode::kTimedOut)),
        static_cast<long long>(ended(ErrorCode::kInterrupted)),
        static_cast<long long>(ended(ErrorCode::kTaskEnded)),
        static_cast<long long>(ended(ErrorCode::kKeyNotFound)),
        static_cast<long long>(ended(ErrorCode::kEvictionFailed)),
        static_cast<long long>(waits_at_rest_));
  }

  void Watch() {
    int64_t seen = -1;
    std::unique_lock lock(watchdog_mutex_);
    while (!watchdog_wakes_.wait_for(lock, kWatchdogTimeout, [this] { return is_over_; })) {
      const int64_t now = operations_.load();
      if (now == seen) Abort();
      seen = now;
    }
  }

  [[noreturn]] void Abort() {
    fprintf(stderr, "no progress for %lld s after %lld operations; TASKMEM_TEST_SEED=%llu\n",
            static_cast<long long>(kWatchdogTimeout.count()),
            static_cast<long long>(operations_.load()), static_cast<unsigned long long>(seed_));
    fprintf(stderr, "%d threads wait in the manager\n", manager_.WaitingThreads());
    for (const auto& worker : workers_) {
      fprintf(stderr, "thread %d: state %d", worker->index, static_cast<int>(worker->state.load()));
      for (int i = 0; i < kTasksOfAThread; ++i) {
        fprintf(stderr, ", task %lld holds %lld + %lld", static_cast<long long>(worker->TaskOf(i)),
                static_cast<long long>(worker->held[i][0].load()),
                static_cast<long long>(worker->held[i][1].load()));
      }
      const std::lock_guard lock(worker->mutex);
      fprintf(stderr, "; last endless request: task %lld, %lld (%lld) bytes, mode %d\n",
              static_cast<long long>(worker->request.task),
              static_cast<long long>(worker->request.bytes),
              static_cast<long long>(worker->request.at_least), IndexOf(worker->request.mode));
    }
    for (const MemoryMode mode : kModes) {
      const UnifiedMemoryManager::Pools pools = manager_.GetPools(mode);
      fprintf(stderr,
              "mode %d: execution %lld of %lld, storage %lld of %lld, overdrawn %lld, tasks %lld, "
              "unmanaged %lld\n",
              IndexOf(mode), static_cast<long long>(pools.execution_used),
              static_cast<long long>(pools.execution_size),
              static_cast<long long>(pools.storage_used),
              static_cast<long long>(pools.storage_size), static_cast<long long>(pools.overdrawn),
              static_cast<long long>(pools.active_tasks), static_cast<long long>(pools.unmanaged));
    }
    abort();
  }

  const uint64_t seed_;
  const bool has_unmanaged_;
  UnmanagedTotals unmanaged_;
  UnifiedMemoryManager manager_;
  Store store_{manager_};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<int64_t> operations_{0};
  std::atomic<bool> wants_rest_{false};
  std::atomic<bool> has_ended_{false};
  int64_t waits_at_rest_ = 0;

  std::mutex watchdog_mutex_;
  std::condition_variable watchdog_wakes_;
  bool is_over_ = false;
};

TEST(UnifiedMemoryManagerStress, Taskmem) { Stress(Compatibility::kTaskmem, true).Run(); }

TEST(UnifiedMemoryManagerStress, TaskmemWithoutUnmanagedMemory) {
  Stress(Compatibility::kTaskmem, false).Run();
}

TEST(UnifiedMemoryManagerStress, Spark) { Stress(Compatibility::kSpark, true).Run(); }

}  // namespace
}  // namespace taskmem
