// Spark's UnifiedMemoryManager: four pools under one lock, and the rules by which
// memory moves between them.
//
//            max of a mode
//   +-----------------+-----------------+
//   |    execution    |     storage     |     the boundary moves:
//   +-----------------+-----------------+     - execution takes what storage does not
//            ^ region: what storage keeps       use, and evicts blocks above the region
//              against execution              - storage takes what execution does not use
//                                             - storage never takes from execution
//
// The lock is held for arithmetic alone: not while a store evicts, a consumer spills
// or a thread waits. What frees memory decides, under the lock, which waiters have an
// answer now and wakes those; nobody polls.
//
// Sizes are bytes and, as Spark's, signed: a negative one is refused. Everything here
// is thread-safe, allocates nothing and may be used below malloc. A call that need
// not wait, evict or add a task's first entry makes no system call.
#ifndef TASKMEM_ACCOUNTING_POOLS_UNIFIED_MEMORY_MANAGER_H_
#define TASKMEM_ACCOUNTING_POOLS_UNIFIED_MEMORY_MANAGER_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "accounting/base/memory_log.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/compatibility.h"
#include "accounting/memory/memory_error.h"
#include "accounting/memory/memory_mode.h"
#include "accounting/pools/block_evictor.h"
#include "accounting/pools/execution_memory_pool.h"
#include "accounting/pools/storage_memory_pool.h"
#include "accounting/pools/unmanaged_totals.h"

namespace taskmem {

struct MemoryManagerOptions {
  int64_t max_heap_bytes = 0;                // ON_HEAP, both pools
  int64_t on_heap_storage_region_bytes = 0;  // its initial storage pool
  int64_t max_off_heap_bytes = 0;            // OFF_HEAP, both pools
  int64_t off_heap_storage_region_bytes = 0;
  MemoryMode tungsten_mode = MemoryMode::kOnHeap;  // MM-5
  int64_t page_size_bytes = 1 << 20;               // CONST-4; memory_config.h computes it
  Compatibility compatibility = Compatibility::kTaskmem;
  Sharing sharing = Sharing::kSpark;
  // What nobody draws from the pools; null: nothing. Must outlive the manager.
  const UnmanagedTotals* unmanaged = nullptr;
  MemoryLog* log = nullptr;  // must outlive the manager
};

// What a wait for execution memory can be ended by, besides a grant. One
// Cancellation may serve any number of waits and threads.
class Cancellation {
 public:
  bool is_cancelled() const { return cancelled_.load(std::memory_order_acquire); }

 private:
  friend class UnifiedMemoryManager;
  std::atomic<bool> cancelled_{false};
};

struct ExecutionRequest {
  int64_t bytes = 0;  // > 0 (EXEC-2)
  int64_t task = 0;
  MemoryMode mode = MemoryMode::kOnHeap;
  // A grant below this is as good as none: nothing is taken then, and nothing evicted for
  // the bytes beyond it. For callers that cannot do with part of what they need.
  int64_t at_least = 0;
  // Whether blocks may be evicted for it: not where the caller cannot bear what their
  // owners do meanwhile.
  bool may_evict = true;
  // How long to wait at most; 0: not at all.
  int64_t timeout_ns = kForever;
  const Cancellation* cancellation = nullptr;

  static constexpr int64_t kForever = INT64_MAX;
};

// Somebody who has acquired more than is needed now, to stay off the lock.
class IdleGrantHolder {
 public:
  // Releases what is idle (ReleaseExecutionMemory), because a request would be
  // answered short otherwise: of all tasks but `requester`, which counts on its own idle
  // memory; null: storage asks. Called with no lock held.
  virtual void ReturnIdleGrants(MemoryMode /*mode*/, const int64_t* /*requester*/) {}

 protected:
  ~IdleGrantHolder() = default;
};

class UnifiedMemoryManager {
 public:
  // `options` must pass Validate.
  explicit UnifiedMemoryManager(const MemoryManagerOptions& options);
  UnifiedMemoryManager(const UnifiedMemoryManager&) = delete;
  UnifiedMemoryManager& operator=(const UnifiedMemoryManager&) = delete;

  // Negative sizes, a region larger than its pools, no on-heap execution memory
  // where there is on-heap memory at all (MM-1).
  static MemoryError Validate(const MemoryManagerOptions& options);

  // MM-4. Before anything else is called; both must outlive the manager.
  void SetMemoryStore(BlockEvictor* store) { store_ = store; }
  void SetIdleGrantHolder(IdleGrantHolder* holder) { holder_ = holder; }

  // UMM-3, EXEC-3. The bytes granted: 0 to request.bytes; 0 is an answer, not an
  // error. Waits while the task holds less than 1/2N and cannot have more.
  // kInvalidRequest, kInvalidArgument, kTimedOut, kInterrupted, kTaskEnded,
  // kKeyNotFound, kTooManyTasks, and what the store's evictor fails with. After an
  // error nothing was granted.
  Result<int64_t> AcquireExecutionMemory(const ExecutionRequest& request);

  // EXEC-8. Returns what was released: less where the task held less.
  int64_t ReleaseExecutionMemory(int64_t bytes, int64_t task, MemoryMode mode);

  // The same where nobody holds the lock; false, and nothing done, where somebody does.
  bool TryReleaseExecutionMemory(int64_t bytes, int64_t task, MemoryMode mode);

  // MM-3: both modes. Returns what was released.
  int64_t ReleaseAllExecutionMemoryForTask(int64_t task);

  // Books memory to the task that must not be refused, whatever is free. It counts
  // like unmanaged memory until the task releases it, which it does first. False: no
  // memory for the task's entry.
  bool OverdrawExecutionMemory(int64_t bytes, int64_t task, MemoryMode mode);

  // For a size of the pools that nobody set: what tasks have been granted and have not touched
  // takes no room. Makes the pools of the mode so much larger that execution can have `bytes`
  // more. What is lent goes back as execution memory is released, but for `keep` bytes, and not
  // before each Lend has been followed by an EndLending. False: sums would overflow.
  bool Lend(int64_t bytes, int64_t keep, MemoryMode mode);
  void EndLending(MemoryMode mode);

  // Where the sizes that the manager was made with were a guess: what is held stays held, and
  // what is more than the new size counts as lent. `region_bytes` is a part of `max_bytes`.
  void Resize(int64_t max_bytes, int64_t region_bytes, MemoryMode mode);

  // UMM-7: all or nothing; never waits. May evict. kInvalidArgument, and what the
  // evictor fails with.
  Result<bool> AcquireStorageMemory(std::string_view block, int64_t bytes, MemoryMode mode);

  // MM-2: unroll memory is storage memory.
  Result<bool> AcquireUnrollMemory(std::string_view block, int64_t bytes, MemoryMode mode) {
    return AcquireStorageMemory(block, bytes, mode);
  }

  // STORE-4.
  void ReleaseStorageMemory(int64_t bytes, MemoryMode mode);
  void ReleaseUnrollMemory(int64_t bytes, MemoryMode mode) { ReleaseStorageMemory(bytes, mode); }
  void ReleaseAllStorageMemory();  // MM-4

  // TASK-2: waiters look again. In kTaskmem the task also leaves N, and those that
  // wait for it return kTaskEnded.
  void EndTask(int64_t task);

  // Ends the waits that use `cancellation`, and all later ones (EXEC-12).
  void Cancel(Cancellation& cancellation);

  // Unmanaged memory has changed, or blocks have become evictable: in kTaskmem
  // waiters look again.
  void NotifyChanged();

  // In a fork child, before anything else: no thread waits here, nobody holds the
  // lock, and no task holds anything until it is booked again.
  void ResetAfterFork();

  // Getters: each is right at one moment.
  int64_t ExecutionMemoryUsed() const;  // MM-3: both modes
  int64_t StorageMemoryUsed() const;
  int64_t ExecutionMemoryUsed(MemoryMode mode) const;
  int64_t StorageMemoryUsed(MemoryMode mode) const;
  int64_t MaxStorageMemory(MemoryMode mode) const;             // UMM-2
  int64_t GetExecutionMemoryUsageForTask(int64_t task) const;  // both modes
  int64_t UnmanagedMemoryUsed(MemoryMode mode) const;          // UNM-5
  MemoryMode tungsten_memory_mode() const { return options_.tungsten_mode; }
  int64_t page_size_bytes() const { return options_.page_size_bytes; }
  Compatibility compatibility() const { return options_.compatibility; }
  MemoryLog* log() const { return options_.log; }
  // Threads inside AcquireExecutionMemory that wait and have no answer yet.
  int WaitingThreads() const { return waiting_threads_.load(std::memory_order_relaxed); }

  // The pools of a mode at one moment.
  struct Pools {
    int64_t execution_size;
    int64_t execution_used;
    int64_t storage_size;
    int64_t storage_used;
    int64_t overdrawn;
    int64_t active_tasks;
    int64_t unmanaged;
    int64_t lent;  // by how much the pools are larger than their options say
  };
  Pools GetPools(MemoryMode mode) const;

  // visit(const Pools&) under the lock, so that what it writes is never older than what
  // was written before. Nothing where somebody holds the lock: who does calls this next.
  template <typename Visit>
  void TryVisitPools(MemoryMode mode, Visit visit) const {
    if (!mutex_.TryLock()) return;
    visit(PoolsLocked(mode));
    mutex_.Unlock();
  }

  // visit(const TaskEntry&) for every key of the mode's execution pool, under the
  // lock: it must not call back.
  template <typename Visit>
  void ForEachTask(MemoryMode mode, Visit visit) const {
    const MutexLock lock(mutex_);
    modes_[IndexOf(mode)].execution.ForEachTask(visit);
  }

 private:
  struct ModePools {
    explicit ModePools(MemoryMode mode) : execution(mode), storage(mode) {}
    ExecutionMemoryPool execution;
    StorageMemoryPool storage;
    int64_t max_bytes = 0;
    int64_t region_bytes = 0;
    int64_t base_bytes = 0;  // max_bytes without what is lent
    int64_t keep_bytes = 0;  // of what is lent and free
    int64_t lenders = 0;     // between Lend and EndLending
  };

  struct Waiter;

  // What a pass through EXEC-3 came to.
  enum class Pass : uint8_t { kAnswered, kFailed, kMustWait, kMustEvict, kMustAskBack };

  bool IsSpark() const { return options_.compatibility == Compatibility::kSpark; }
  ModePools& PoolsOf(MemoryMode mode) { return modes_[IndexOf(mode)]; }
  const ModePools& PoolsOf(MemoryMode mode) const { return modes_[IndexOf(mode)]; }

  // These need the lock, and keep it.
  Pools PoolsLocked(MemoryMode mode) const;
  MemoryError CheckBalance(const ModePools& pools) const;
  int64_t BesidePools(const ModePools& pools) const;
  GrantLimits LimitsFor(const ModePools& pools) const;
  int64_t StorageLimit(const ModePools& pools) const;
  int64_t FreeStorage(const ModePools& pools) const;
  void PlanGrowth(const ModePools& pools, int64_t bytes, int64_t enough, int64_t* move_bytes,
                  int64_t* evict_bytes) const;
  void MoveToExecution(ModePools& pools, int64_t bytes);
  void ReturnLent(ModePools& pools);
  int64_t BorrowFromExecution(ModePools& pools, int64_t bytes);
  void ReturnBorrowed(ModePools& pools, int64_t borrowed);
  bool HasLostBalance(Waiter& waiter);
  Pass RunPass(Waiter& waiter);
  void DropEmptyKey(const ExecutionRequest& request);
  // Waiters look again when the lock is given up.
  void Notify() { notified_ = true; }
  void RunWaiters();
  void Signal(Waiter& waiter, Pass pass);
  void Link(Waiter& waiter);
  void Unlink(Waiter& waiter);

  // These give it up: meanwhile, or for good.
  void EvictForExecution(Waiter& waiter);
  bool Wait(Waiter& waiter);
  void UnlockAndWake();

  void LogStorageRefusal(std::string_view block, int64_t bytes, int64_t limit,
                         int64_t unmanaged) const;

  const MemoryManagerOptions options_;
  BlockEvictor* store_ = nullptr;
  IdleGrantHolder* holder_ = nullptr;

  mutable Mutex mutex_;
  ModePools modes_[kMemoryModes] = {ModePools(MemoryMode::kOnHeap),
                                    ModePools(MemoryMode::kOffHeap)};
  Waiter* first_waiter_ = nullptr;  // requests on their way, as they came
  Waiter* last_waiter_ = nullptr;
  std::atomic<int> waiting_threads_{0};
  bool notified_ = false;
  uint64_t changes_ = 0;            // how often the lock was given up after a change
  uint64_t evictable_changes_ = 0;  // how often blocks may have become evictable
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_UNIFIED_MEMORY_MANAGER_H_
