// ON_HEAP and OFF_HEAP: which of the two pairs of pools memory is drawn from.
#ifndef TASKMEM_ACCOUNTING_MEMORY_MEMORY_MODE_H_
#define TASKMEM_ACCOUNTING_MEMORY_MEMORY_MODE_H_

#include <cstdint>

namespace taskmem {

// OFF_HEAP: what malloc and mmap hand out. ON_HEAP: memory of a managed runtime's
// own heap, and of callers that ask for it.
enum class MemoryMode : uint8_t { kOnHeap = 0, kOffHeap = 1 };

inline constexpr int kMemoryModes = 2;

constexpr int IndexOf(MemoryMode mode) { return static_cast<int>(mode); }

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MEMORY_MEMORY_MODE_H_
