// What free does when the block is no other block of a page of this thread's context.
#ifndef TASKMEM_SHIM_MALLOC_FREE_SLOW_H_
#define TASKMEM_SHIM_MALLOC_FREE_SLOW_H_

#include "shim/mimalloc/types.h"

namespace taskmem {

// Not in a segment of this thread's context.
void FreeElsewhere(void* block);

// Of this thread's context, in that page, which wants attention.
void FreeLocalSlow(void* block, mi_page_t* page);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_FREE_SLOW_H_
