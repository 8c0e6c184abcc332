// What tests of the manager share: an evictor like the one of Spark's own tests, requests
// that wait in threads of their own, and the pools as text.
#ifndef TASKMEM_ACCOUNTING_POOLS_MANAGER_TESTING_H_
#define TASKMEM_ACCOUNTING_POOLS_MANAGER_TESTING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "accounting/base/memory_log.h"
#include "accounting/pools/block_evictor.h"
#include "accounting/pools/unified_memory_manager.h"
#include "accounting/pools/unmanaged_totals.h"

namespace taskmem {

inline constexpr MemoryMode kOn = MemoryMode::kOnHeap;
inline constexpr MemoryMode kOff = MemoryMode::kOffHeap;

// Long enough for any machine, short enough for a test to fail rather than hang.
inline constexpr int64_t kTestTimeoutNs = int64_t{60'000'000'000};

// An acquire that would have waited.
inline constexpr int64_t kWaits = -1;

class TestLog : public MemoryLog {
 public:
  void Write(LogLevel level, const char* text) override {
    constexpr const char* kNames[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};
    const std::lock_guard lock(mutex_);
    lines_.push_back(kNames[static_cast<int>(level)] + std::string(text));
  }
  // The lines since the last call.
  std::vector<std::string> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Frees exactly what it is asked for where so much storage memory is used, else nothing;
// or does what a test says.
class TestEvictor : public BlockEvictor {
 public:
  using Action = std::function<Result<int64_t>(int64_t bytes, MemoryMode mode)>;

  explicit TestEvictor(UnifiedMemoryManager& manager) : manager_(manager) {}

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* /*for_block*/, int64_t bytes,
                                         MemoryMode mode) override {
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(bytes);
    }
    if (action_) return action_(bytes, mode);
    if (bytes > manager_.StorageMemoryUsed()) return int64_t{0};
    manager_.ReleaseStorageMemory(bytes, mode);
    return bytes;
  }

  void Do(Action action) { action_ = std::move(action); }

  // How many bytes it was asked for since the last call, each time.
  std::vector<int64_t> TakeAsked() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }

 private:
  UnifiedMemoryManager& manager_;
  Action action_;
  std::mutex mutex_;
  std::vector<int64_t> asked_;
};

// A request in a thread of its own.
class PendingAcquire {
 public:
  PendingAcquire(UnifiedMemoryManager& manager, ExecutionRequest request)
      : request_(request), thread_([this, &manager] {
          result_ = manager.AcquireExecutionMemory(request_);
          has_returned_.store(true);
        }) {}
  ~PendingAcquire() {
    if (thread_.joinable()) thread_.join();
  }
  PendingAcquire(const PendingAcquire&) = delete;
  PendingAcquire& operator=(const PendingAcquire&) = delete;

  bool has_returned() const { return has_returned_.load(); }

  Result<int64_t> Join() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }
  // The bytes granted.
  int64_t Grant() {
    const Result<int64_t> result = Join();
    EXPECT_TRUE(result.ok()) << "error " << static_cast<int>(result.error().code);
    return result.value();
  }
  ErrorCode Error() { return Join().error().code; }

 private:
  const ExecutionRequest request_;
  Result<int64_t> result_ = int64_t{0};
  std::atomic<bool> has_returned_{false};
  std::thread thread_;
};

struct TestSizes {
  int64_t on_heap = 1000;
  int64_t on_heap_region = 500;
  int64_t off_heap = 0;
  int64_t off_heap_region = 0;
};

// A manager, on-heap where nothing else is said.
class TestManager {
 public:
  explicit TestManager(Compatibility compatibility, TestSizes sizes = {},
                       Sharing sharing = Sharing::kSpark,
                       const UnmanagedTotals* outer_totals = nullptr)
      : manager_(Options(compatibility, sizes, sharing,
                         outer_totals != nullptr ? outer_totals : &totals_)) {
    manager_.SetMemoryStore(&evictor_);
  }

  UnifiedMemoryManager* operator->() { return &manager_; }
  UnifiedMemoryManager& manager() { return manager_; }
  TestEvictor& evictor() { return evictor_; }
  TestLog& log() { return log_; }

  // Never waits: kWaits where it would have to.
  int64_t Acquire(int64_t task, int64_t bytes, MemoryMode mode = kOn, int64_t at_least = 0) {
    ExecutionRequest request;
    request.task = task;
    request.bytes = bytes;
    request.mode = mode;
    request.at_least = at_least;
    request.timeout_ns = 0;
    const Result<int64_t> result = manager_.AcquireExecutionMemory(request);
    if (result.ok()) return result.value();
    EXPECT_EQ(result.error().code, ErrorCode::kTimedOut);
    return kWaits;
  }

  ErrorCode AcquireError(ExecutionRequest request) {
    return manager_.AcquireExecutionMemory(request).error().code;
  }

  // Begins a request that must wait, and returns when it does.
  std::unique_ptr<PendingAcquire> BeginAcquire(ExecutionRequest request) {
    const int waiting = manager_.WaitingThreads();
    if (request.timeout_ns == ExecutionRequest::kForever) request.timeout_ns = kTestTimeoutNs;
    auto pending = std::make_unique<PendingAcquire>(manager_, request);
    while (manager_.WaitingThreads() == waiting && !pending->has_returned()) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(pending->has_returned()) << "task " << request.task << " does not wait";
    return pending;
  }
  std::unique_ptr<PendingAcquire> BeginAcquire(int64_t task, int64_t bytes, MemoryMode mode = kOn) {
    ExecutionRequest request;
    request.task = task;
    request.bytes = bytes;
    request.mode = mode;
    return BeginAcquire(request);
  }

  void Release(int64_t task, int64_t bytes, MemoryMode mode = kOn) {
    manager_.ReleaseExecutionMemory(bytes, task, mode);
  }
  int64_t ReleaseAll(int64_t task) { return manager_.ReleaseAllExecutionMemoryForTask(task); }
  int64_t Usage(int64_t task) { return manager_.GetExecutionMemoryUsageForTask(task); }

  bool Store(int64_t bytes, MemoryMode mode = kOn) {
    const Result<bool> result = manager_.AcquireStorageMemory("test_d", bytes, mode);
    EXPECT_TRUE(result.ok()) << "error " << static_cast<int>(result.error().code);
    return result.value();
  }
  void Unstore(int64_t bytes, MemoryMode mode = kOn) { manager_.ReleaseStorageMemory(bytes, mode); }

  void SetUnmanaged(int64_t bytes, MemoryMode mode = kOn) {
    totals_.Set(mode, bytes);
    manager_.NotifyChanged();
  }

  // "900/900 100/0": size and use of execution, then of storage.
  std::string Pools(MemoryMode mode = kOn) {
    const UnifiedMemoryManager::Pools pools = manager_.GetPools(mode);
    return std::to_string(pools.execution_size) + "/" + std::to_string(pools.execution_used) + " " +
           std::to_string(pools.storage_size) + "/" + std::to_string(pools.storage_used);
  }

  // "1:900 2:0": the keys and their bytes, by task.
  std::string Keys(MemoryMode mode = kOn) {
    std::vector<std::pair<int64_t, int64_t>> keys;
    manager_.ForEachTask(
        mode, [&keys](const TaskEntry& entry) { keys.emplace_back(entry.task, entry.bytes); });
    std::sort(keys.begin(), keys.end());
    std::string text;
    for (const auto& [task, bytes] : keys) {
      text += (text.empty() ? "" : " ") + std::to_string(task) + ":" + std::to_string(bytes);
    }
    return text;
  }

 private:
  MemoryManagerOptions Options(Compatibility compatibility, const TestSizes& sizes, Sharing sharing,
                               const UnmanagedTotals* totals) {
    MemoryManagerOptions options;
    options.max_heap_bytes = sizes.on_heap;
    options.on_heap_storage_region_bytes = sizes.on_heap_region;
    options.max_off_heap_bytes = sizes.off_heap;
    options.off_heap_storage_region_bytes = sizes.off_heap_region;
    options.compatibility = compatibility;
    options.sharing = sharing;
    options.unmanaged = totals;
    options.log = &log_;
    EXPECT_FALSE(UnifiedMemoryManager::Validate(options));
    return options;
  }

  UnmanagedTotals totals_;
  TestLog log_;
  UnifiedMemoryManager manager_;
  TestEvictor evictor_{manager_};
};

// The name of a test's parameter.
inline std::string NameOf(const testing::TestParamInfo<Compatibility>& info) {
  return info.param == Compatibility::kSpark ? "Spark" : "Taskmem";
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_MANAGER_TESTING_H_
