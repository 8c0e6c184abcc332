// The memory of pages: slices of the segments of a context, or of its part of the overflow file.
//
// For whoever has the context. Errno may change.
#ifndef TASKMEM_SHIM_SEGMENTS_PAGE_MEMORY_H_
#define TASKMEM_SHIM_SEGMENTS_PAGE_MEMORY_H_

#include <cstddef>

#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// A page for a block, or blocks, of `bytes`, of the heap; alignments above MI_ALIGNMENT_MAX are the
// segment's matter, else `huge_alignment` is 0. nullptr: no memory.
mi_page_t* TakePageMemory(mi_heap_t* heap, size_t bytes, size_t huge_alignment);

// Gives it back; with its last page a segment leaves the context.
void GivePageMemory(mi_page_t* page, bool force, mi_segments_tld_t* tld);

// Gives the context's slack back (purge.cc). Without force: what has been free and untouched for a
// while.
void PurgeContext(Context* context, bool force);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_PAGE_MEMORY_H_
