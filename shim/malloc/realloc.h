// What realloc does with blocks that have a page of their own (large/grow.h), and
// how any block moves.
#ifndef TASKMEM_SHIM_MALLOC_REALLOC_H_
#define TASKMEM_SHIM_MALLOC_REALLOC_H_

#include <cstddef>

#include "shim/mimalloc/types.h"

namespace taskmem {

// A block that grows and must move; the old one is left alone where that fails.
void* MoveLarger(void* block, size_t old_size, size_t new_size);

// One that shrinks, which never fails: it stays where it is when there is no room to move.
void* MoveSmaller(void* block, size_t new_size);

// Not one of the size classes'.
inline bool HasPageForItself(const mi_segment_t* segment, const mi_page_t* page) {
  return page->xblock_size > MI_MEDIUM_OBJ_SIZE_MAX || segment->kind == MI_SEGMENT_HUGE;
}

// A block that has its page for itself.
void* ReallocLarge(void* block, size_t size);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_REALLOC_H_
