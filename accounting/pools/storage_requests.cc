// Requests for storage memory: what is borrowed from execution, evicted, given back and refused.
#include <algorithm>

#include "accounting/pools/unified_memory_manager.h"

namespace taskmem {

Result<bool> UnifiedMemoryManager::AcquireStorageMemory(std::string_view block, int64_t bytes,
                                                        MemoryMode mode) {
  if (bytes < 0) return MemoryError(ErrorCode::kInvalidArgument, bytes);
  mutex_.Lock();
  ModePools& pools = PoolsOf(mode);
  if (const MemoryError error = CheckBalance(pools)) {
    UnlockAndWake();
    return error;
  }
  if (holder_ != nullptr && bytes > pools.storage.free() + pools.execution.free()) {
    mutex_.Unlock();
    holder_->ReturnIdleGrants(mode, nullptr);
    mutex_.Lock();
  }
  int64_t borrowed = 0;
  Result<int64_t> freed = int64_t{0};
  // Each round but the last drops blocks, whose memory another request has taken at once.
  for (;;) {
    const int64_t limit = StorageLimit(pools);
    if (bytes > limit) {
      const int64_t unmanaged = UnmanagedMemoryUsed(mode);
      ReturnBorrowed(pools, borrowed);
      UnlockAndWake();
      LogStorageRefusal(block, bytes, limit, unmanaged);
      return false;
    }
    borrowed += BorrowFromExecution(pools, bytes - pools.storage.free());
    const int64_t shortage = bytes - FreeStorage(pools);
    if (shortage <= 0) break;
    UnlockAndWake();
    freed = store_ != nullptr ? store_->EvictBlocksToFreeSpace(&block, shortage, mode)
                              : Result<int64_t>(MemoryError(ErrorCode::kNoMemoryStore));
    mutex_.Lock();
    if (!freed.ok() || *freed <= 0 || bytes <= FreeStorage(pools)) break;
  }
  const bool granted = freed.ok() && bytes <= FreeStorage(pools) && pools.storage.Acquire(bytes);
  if (granted) {
    ++evictable_changes_;
  } else {
    ReturnBorrowed(pools, borrowed);
  }
  UnlockAndWake();
  if (!freed.ok()) return freed.error();
  return granted;
}

// Takes up to `bytes` of what execution does not use. Returns how much.
int64_t UnifiedMemoryManager::BorrowFromExecution(ModePools& pools, int64_t bytes) {
  const int64_t borrowed = std::max<int64_t>(0, std::min(pools.execution.free(), bytes));
  pools.execution.DecrementPoolSize(borrowed);
  pools.storage.IncrementPoolSize(borrowed);
  return borrowed;
}

// For a block that was not stored after all (UMM-8).
void UnifiedMemoryManager::ReturnBorrowed(ModePools& pools, int64_t borrowed) {
  if (IsSpark() || borrowed == 0) return;
  MoveToExecution(pools, borrowed);
  Notify();
}

// UMM-7: the largest block that could be stored.
int64_t UnifiedMemoryManager::StorageLimit(const ModePools& pools) const {
  return std::max<int64_t>(0, pools.max_bytes - pools.execution.used() - BesidePools(pools));
}

int64_t UnifiedMemoryManager::FreeStorage(const ModePools& pools) const {
  if (IsSpark()) return pools.storage.free();
  // Not more in all than the limit of one (UMM-10).
  return std::min(pools.storage.free(),
                  std::max<int64_t>(0, StorageLimit(pools) - pools.storage.used()));
}

void UnifiedMemoryManager::LogStorageRefusal(std::string_view block, int64_t bytes, int64_t limit,
                                             int64_t unmanaged) const {
  const int length = static_cast<int>(std::min<size_t>(block.size(), 256));
  if (unmanaged > 0) {
    LogLine(options_.log, LogLevel::kInfo,
            "Will not store %.*s as the required space (%lld bytes) exceeds our memory limit "
            "(%lld bytes) (unmanaged memory usage: %lld bytes)",
            length, block.data(), static_cast<long long>(bytes), static_cast<long long>(limit),
            static_cast<long long>(unmanaged));
  } else {
    LogLine(options_.log, LogLevel::kInfo,
            "Will not store %.*s as the required space (%lld bytes) exceeds our memory limit "
            "(%lld bytes)",
            length, block.data(), static_cast<long long>(bytes), static_cast<long long>(limit));
  }
}

void UnifiedMemoryManager::ReleaseStorageMemory(int64_t bytes, MemoryMode mode) {
  if (bytes < 0) return;
  mutex_.Lock();
  const int64_t released = PoolsOf(mode).storage.Release(bytes);
  if (!IsSpark()) Notify();  // EXEC-11
  UnlockAndWake();
  if (released < bytes) {
    LogLine(options_.log, LogLevel::kWarn,
            "Attempted to release %lld bytes of storage memory when we only have %lld bytes",
            static_cast<long long>(bytes), static_cast<long long>(released));
  }
}

void UnifiedMemoryManager::ReleaseAllStorageMemory() {
  mutex_.Lock();
  for (ModePools& pools : modes_) pools.storage.Release(pools.storage.used());
  if (!IsSpark()) Notify();
  UnlockAndWake();
}

}  // namespace taskmem
