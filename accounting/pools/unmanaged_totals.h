// How much memory nobody draws from the pools, as last looked (UNM-4).
#ifndef TASKMEM_ACCOUNTING_POOLS_UNMANAGED_TOTALS_H_
#define TASKMEM_ACCOUNTING_POOLS_UNMANAGED_TOTALS_H_

#include <atomic>
#include <cstdint>

#include "accounting/memory/memory_mode.h"

namespace taskmem {

// Written by whoever looks, read by managers; without a lock.
struct UnmanagedTotals {
  std::atomic<int64_t> bytes[kMemoryModes] = {};

  int64_t Get(MemoryMode mode) const {
    return bytes[IndexOf(mode)].load(std::memory_order_relaxed);
  }
  void Set(MemoryMode mode, int64_t value) {
    bytes[IndexOf(mode)].store(value, std::memory_order_relaxed);
  }
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_UNMANAGED_TOTALS_H_
