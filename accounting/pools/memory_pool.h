// A pool: how large it is and how much of it is used (POOL-1, POOL-2).
//
//   0 <= used <= size
//
// Not thread-safe: the manager's lock guards all four pools (POOL-3).
#ifndef TASKMEM_ACCOUNTING_POOLS_MEMORY_POOL_H_
#define TASKMEM_ACCOUNTING_POOLS_MEMORY_POOL_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"

namespace taskmem {

class MemoryPool {
 public:
  explicit constexpr MemoryPool(MemoryMode mode) : mode_(mode) {}

  MemoryMode mode() const { return mode_; }
  int64_t size() const { return size_; }
  int64_t used() const { return used_; }
  int64_t free() const { return size_ - used_; }

  // False, and nothing changed: `bytes` is negative, or the pool would overflow.
  bool IncrementPoolSize(int64_t bytes) {
    if (bytes < 0 || size_ > INT64_MAX - bytes) return false;
    size_ += bytes;
    return true;
  }

  // False, and nothing changed: `bytes` is negative or not free.
  bool DecrementPoolSize(int64_t bytes) {
    if (bytes < 0 || bytes > free()) return false;
    size_ -= bytes;
    return true;
  }

 protected:
  ~MemoryPool() = default;

  int64_t used_ = 0;

 private:
  const MemoryMode mode_;
  int64_t size_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_MEMORY_POOL_H_
