#include "accounting/pools/unified_memory_manager.h"

#include <algorithm>

namespace taskmem {

UnifiedMemoryManager::UnifiedMemoryManager(const MemoryManagerOptions& options)
    : options_(options) {
  const auto size = [](ModePools& pools, int64_t max_bytes, int64_t region_bytes) {
    pools.max_bytes = pools.base_bytes = max_bytes;
    pools.region_bytes = region_bytes;
    pools.storage.IncrementPoolSize(region_bytes);
    pools.execution.IncrementPoolSize(max_bytes - region_bytes);
  };
  size(PoolsOf(MemoryMode::kOnHeap), options.max_heap_bytes, options.on_heap_storage_region_bytes);
  size(PoolsOf(MemoryMode::kOffHeap), options.max_off_heap_bytes,
       options.off_heap_storage_region_bytes);
}

MemoryError UnifiedMemoryManager::Validate(const MemoryManagerOptions& options) {
  const int64_t heap = options.max_heap_bytes;
  const int64_t heap_region = options.on_heap_storage_region_bytes;
  const bool may_have_no_heap = options.compatibility == Compatibility::kTaskmem;
  if (heap <= heap_region && !(may_have_no_heap && heap == 0 && heap_region == 0)) {
    return MemoryError(ErrorCode::kNoOnHeapExecutionMemory);
  }
  if (heap_region < 0 || options.off_heap_storage_region_bytes < 0 ||
      options.off_heap_storage_region_bytes > options.max_off_heap_bytes) {
    return MemoryError(ErrorCode::kInvalidArgument);
  }
  return {};
}

MemoryError UnifiedMemoryManager::CheckBalance(const ModePools& pools) const {
  if (pools.execution.size() + pools.storage.size() == pools.max_bytes) return {};
  return MemoryError(ErrorCode::kPoolsOutOfBalance);
}

// What is held beside the pools: neither granted nor stored. At most INT64_MAX.
int64_t UnifiedMemoryManager::BesidePools(const ModePools& pools) const {
  const int64_t unmanaged = UnmanagedMemoryUsed(pools.execution.mode());
  const int64_t overdrawn = IsSpark() ? 0 : pools.execution.overdrawn();
  return unmanaged > INT64_MAX - overdrawn ? INT64_MAX : unmanaged + overdrawn;
}

void UnifiedMemoryManager::MoveToExecution(ModePools& pools, int64_t bytes) {
  const int64_t moved = std::min(bytes, pools.storage.free());
  pools.storage.DecrementPoolSize(moved);
  pools.execution.IncrementPoolSize(moved);
}

int64_t UnifiedMemoryManager::ReleaseExecutionMemory(int64_t bytes, int64_t task, MemoryMode mode) {
  if (bytes < 0) return 0;
  mutex_.Lock();
  ExecutionMemoryPool& pool = PoolsOf(mode).execution;
  const int64_t held = pool.UsageOf(task);
  const int64_t released = pool.Release(task, bytes);
  ReturnLent(PoolsOf(mode));
  Notify();
  UnlockAndWake();
  if (held < bytes) {
    LogLine(options_.log, LogLevel::kWarn,
            "Internal error: release called on %lld bytes but task only has %lld bytes of memory "
            "from the %s pool",
            static_cast<long long>(bytes), static_cast<long long>(held), pool.name());
  }
  return released;
}

bool UnifiedMemoryManager::TryReleaseExecutionMemory(int64_t bytes, int64_t task, MemoryMode mode) {
  if (!mutex_.TryLock()) return false;
  PoolsOf(mode).execution.Release(task, bytes);
  ReturnLent(PoolsOf(mode));
  Notify();
  UnlockAndWake();
  return true;
}

int64_t UnifiedMemoryManager::ReleaseAllExecutionMemoryForTask(int64_t task) {
  int64_t released = 0;
  mutex_.Lock();
  for (ModePools& pools : modes_) {
    released += pools.execution.Release(task, pools.execution.UsageOf(task));
    ReturnLent(pools);
  }
  Notify();
  UnlockAndWake();
  return released;
}

bool UnifiedMemoryManager::OverdrawExecutionMemory(int64_t bytes, int64_t task, MemoryMode mode) {
  if (bytes < 0) return false;
  mutex_.Lock();
  ExecutionMemoryPool& pool = PoolsOf(mode).execution;
  bool inserted = false;
  // Sums of what is held must not overflow.
  const bool fits = bytes <= INT64_MAX - PoolsOf(mode).max_bytes - pool.overdrawn();
  const bool registered = fits && pool.Register(task, &inserted);
  if (registered) pool.Overdraw(task, bytes);
  Notify();
  UnlockAndWake();
  return registered;
}

bool UnifiedMemoryManager::Lend(int64_t bytes, int64_t keep, MemoryMode mode) {
  constexpr int64_t kMost = INT64_MAX / 4;
  const MutexLock lock(mutex_);
  ModePools& pools = PoolsOf(mode);
  const int64_t beside = BesidePools(pools);
  if (bytes < 0 || bytes > kMost || beside > kMost || pools.max_bytes > kMost) return false;
  const int64_t needed =
      pools.execution.used() + pools.storage.used() + beside + bytes - pools.max_bytes;
  if (needed > 0) {
    pools.max_bytes += needed;
    pools.execution.IncrementPoolSize(needed);
  }
  pools.keep_bytes = keep;
  ++pools.lenders;
  return true;
}

void UnifiedMemoryManager::EndLending(MemoryMode mode) {
  mutex_.Lock();
  ModePools& pools = PoolsOf(mode);
  --pools.lenders;
  ReturnLent(pools);
  Notify();
  UnlockAndWake();
}

// What is lent and free beyond what is kept for the next requests is nobody's any more.
void UnifiedMemoryManager::ReturnLent(ModePools& pools) {
  const int64_t lent = pools.max_bytes - pools.base_bytes;
  if (lent == 0 || pools.lenders != 0) return;
  const int64_t returned = std::min(lent, pools.execution.free() - pools.keep_bytes);
  if (returned <= 0) return;
  pools.max_bytes -= returned;
  pools.execution.DecrementPoolSize(returned);
}

void UnifiedMemoryManager::Resize(int64_t max_bytes, int64_t region_bytes, MemoryMode mode) {
  mutex_.Lock();
  ModePools& pools = PoolsOf(mode);
  const int64_t execution_used = pools.execution.used();
  const int64_t storage_used = pools.storage.used();
  pools.region_bytes = region_bytes;
  pools.base_bytes = max_bytes;
  pools.max_bytes = std::max(max_bytes, execution_used + storage_used);
  const int64_t storage_size =
      std::max(storage_used, std::min(region_bytes, pools.max_bytes - execution_used));
  pools.storage.DecrementPoolSize(pools.storage.free());
  pools.storage.IncrementPoolSize(storage_size - storage_used);
  pools.execution.DecrementPoolSize(pools.execution.free());
  pools.execution.IncrementPoolSize(pools.max_bytes - storage_size - execution_used);
  Notify();
  UnlockAndWake();
}

void UnifiedMemoryManager::NotifyChanged() {
  mutex_.Lock();
  ++evictable_changes_;
  if (!IsSpark()) Notify();
  UnlockAndWake();
}

void UnifiedMemoryManager::ResetAfterFork() {
  mutex_.ResetAfterFork();
  first_waiter_ = last_waiter_ = nullptr;
  waiting_threads_.store(0, std::memory_order_relaxed);
  notified_ = false;
  for (ModePools& pools : modes_) {
    pools.lenders = 0;
    // Another thread may have been amid a move when the process was forked.
    pools.execution.Clear();
    pools.execution.DecrementPoolSize(pools.execution.size());
    pools.storage.DecrementPoolSize(pools.storage.free());
    const int64_t free_region = std::max<int64_t>(0, pools.region_bytes - pools.storage.used());
    pools.storage.IncrementPoolSize(free_region);
    pools.execution.IncrementPoolSize(pools.max_bytes - pools.storage.size());
  }
}

int64_t UnifiedMemoryManager::ExecutionMemoryUsed() const {
  const MutexLock lock(mutex_);
  return modes_[0].execution.used() + modes_[1].execution.used();
}

int64_t UnifiedMemoryManager::StorageMemoryUsed() const {
  const MutexLock lock(mutex_);
  return modes_[0].storage.used() + modes_[1].storage.used();
}

int64_t UnifiedMemoryManager::ExecutionMemoryUsed(MemoryMode mode) const {
  const MutexLock lock(mutex_);
  return PoolsOf(mode).execution.used();
}

int64_t UnifiedMemoryManager::StorageMemoryUsed(MemoryMode mode) const {
  const MutexLock lock(mutex_);
  return PoolsOf(mode).storage.used();
}

int64_t UnifiedMemoryManager::MaxStorageMemory(MemoryMode mode) const {
  const MutexLock lock(mutex_);
  return PoolsOf(mode).max_bytes - PoolsOf(mode).execution.used();
}

int64_t UnifiedMemoryManager::GetExecutionMemoryUsageForTask(int64_t task) const {
  const MutexLock lock(mutex_);
  return modes_[0].execution.UsageOf(task) + modes_[1].execution.UsageOf(task);
}

int64_t UnifiedMemoryManager::UnmanagedMemoryUsed(MemoryMode mode) const {
  return options_.unmanaged != nullptr ? std::max<int64_t>(0, options_.unmanaged->Get(mode)) : 0;
}

UnifiedMemoryManager::Pools UnifiedMemoryManager::GetPools(MemoryMode mode) const {
  const MutexLock lock(mutex_);
  return PoolsLocked(mode);
}

UnifiedMemoryManager::Pools UnifiedMemoryManager::PoolsLocked(MemoryMode mode) const {
  const ModePools& pools = PoolsOf(mode);
  return {pools.execution.size(),      pools.execution.used(),
          pools.storage.size(),        pools.storage.used(),
          pools.execution.overdrawn(), pools.execution.active_tasks(),
          UnmanagedMemoryUsed(mode),   pools.max_bytes - pools.base_bytes};
}

}  // namespace taskmem
