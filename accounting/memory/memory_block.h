// A run of memory: a page of a task, or what an allocator gave directly.
#ifndef TASKMEM_ACCOUNTING_MEMORY_MEMORY_BLOCK_H_
#define TASKMEM_ACCOUNTING_MEMORY_MEMORY_BLOCK_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"

namespace taskmem {

// A value: it names the memory and owns nothing. Whoever frees the block marks the
// value it was given. A stale copy of a page is recognised by its serial number and
// refused; of a block straight from an allocator there is nobody who could tell.
struct MemoryBlock {
  // Page numbers that are none (ALLOC-1).
  static constexpr int kNoPageNumber = -1;  // not of a task
  static constexpr int kFreedInManager = -2;
  static constexpr int kFreedInAllocator = -3;

  char* base = nullptr;  // nullptr: no block
  int64_t size = 0;      // bytes, as asked for; stays when the block is freed
  MemoryMode mode = MemoryMode::kOffHeap;
  int page_number = kNoPageNumber;
  uint64_t serial = 0;   // no two pages of a task memory manager have the same
  uint64_t manager = 0;  // the number of the task memory manager whose page it is

  explicit operator bool() const { return base != nullptr; }
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MEMORY_MEMORY_BLOCK_H_
