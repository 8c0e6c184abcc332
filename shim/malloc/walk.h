// Asking the pages instead of the books; more of it in heap/heap.h.
#ifndef TASKMEM_SHIM_MALLOC_WALK_H_
#define TASKMEM_SHIM_MALLOC_WALK_H_

#include <cstdint>

namespace taskmem {

// Adds how many pages each slot has of its own.
void CountPagesInHeaps(uint64_t* pages);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_WALK_H_
