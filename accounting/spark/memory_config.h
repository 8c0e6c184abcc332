// Sizes of pools and pages from settings, with Spark's defaults and refusals.
#ifndef TASKMEM_ACCOUNTING_SPARK_MEMORY_CONFIG_H_
#define TASKMEM_ACCOUNTING_SPARK_MEMORY_CONFIG_H_

#include <cstdint>

#include "accounting/memory/memory_error.h"
#include "accounting/pools/unified_memory_manager.h"

namespace taskmem {

inline constexpr double kDefaultMemoryFraction = 0.6;  // CONST-1
inline constexpr double kDefaultStorageFraction = 0.5;
inline constexpr int64_t kReservedSystemMemoryBytes = 300 << 20;

// The part of memory that is used for execution and storage together, and of that the
// storage region (UMM-11).
struct HeapSizes {
  int64_t max_heap_bytes;
  int64_t storage_region_bytes;
};

struct HeapSettings {
  int64_t system_memory_bytes = 0;
  int64_t reserved_bytes = kReservedSystemMemoryBytes;
  double memory_fraction = kDefaultMemoryFraction;  // not checked (CONST-1)
  double storage_fraction = kDefaultStorageFraction;
  int64_t executor_memory_bytes = -1;  // spark.executor.memory; -1: not set
};

// UMM-11, UMM-12. kSystemMemoryTooSmall, kExecutorMemoryTooSmall, kInvalidStorageFraction.
// That execution gets nothing is for UnifiedMemoryManager::Validate to refuse.
Result<HeapSizes> SizesFromSettings(const HeapSettings& settings);

struct OffHeapSettings {
  bool enabled = false;
  int64_t size_bytes = 0;
  double storage_fraction = kDefaultStorageFraction;
};

// Fills the off-heap sizes and the tungsten mode of `options` (MM-1, MM-5).
// kNegativeOffHeapSize, kOffHeapSizeRequired, kInvalidStorageFraction.
MemoryError ApplyOffHeapSettings(const OffHeapSettings& settings, MemoryManagerOptions* options);

// CONST-4: the default page size of `options`, whose pools are set, for `cores` (0: as
// many as there are processors). `array_header_bytes` are taken off an ON_HEAP page.
int64_t DefaultPageSizeBytes(const MemoryManagerOptions& options, int cores,
                             int64_t array_header_bytes);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_SPARK_MEMORY_CONFIG_H_
