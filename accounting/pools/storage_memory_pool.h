// Storage memory: blocks, and what is being unrolled into blocks (MM-2).
#ifndef TASKMEM_ACCOUNTING_POOLS_STORAGE_MEMORY_POOL_H_
#define TASKMEM_ACCOUNTING_POOLS_STORAGE_MEMORY_POOL_H_

#include "accounting/pools/memory_pool.h"

namespace taskmem {

// Eviction is the manager's: it may not happen under the lock that guards this.
class StorageMemoryPool : public MemoryPool {
 public:
  using MemoryPool::MemoryPool;

  // All or nothing (STORE-3). False: it is not free.
  bool Acquire(int64_t bytes) {
    if (bytes > free()) return false;
    used_ += bytes;
    return true;
  }

  // Returns what was released: less than `bytes` where less was used (STORE-4).
  int64_t Release(int64_t bytes) {
    const int64_t released = bytes < used_ ? bytes : used_;
    used_ -= released;
    return released;
  }
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_STORAGE_MEMORY_POOL_H_
