// Pages that became free just now, held for the next ones that are wanted. To
// mimalloc they are in use: neither joined with what is free around them nor split again.
//
//   of large blocks   the last few, of different sizes
//   of medium blocks  of up to 16 KiB; the last one is taken first
//
// They are slack (slack.h), and go where other slack goes: PurgeContext lets all of them go.
#ifndef TASKMEM_SHIM_SEGMENTS_HELD_PAGES_H_
#define TASKMEM_SHIM_SEGMENTS_HELD_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// The page of a block of `bytes`, as mimalloc rounds it.
inline size_t SlicesOf(size_t bytes) {
  return _mi_align_up(bytes,
                      bytes > MI_MEDIUM_PAGE_SIZE ? MI_MEDIUM_PAGE_SIZE : MI_SEGMENT_SLICE_SIZE) /
         MI_SEGMENT_SLICE_SIZE;
}

// All of them, and out of memory: they have been free for a while.
void LetHeldPagesGo(Context* context);

// The thread has ended: whole segments may be free but for them.
void ReleaseHeldPages(Context* context);

// Those among so many slices, so that they can be taken with what is free around them.
void LetHeldPagesBehindGo(Context* context, const mi_slice_t* behind, size_t slices);

// A page that nobody has any more. False: it is not worth it, or memory is short.
bool HoldPage(mi_page_t* page);

// The same for a page of which that much was in use.
bool HoldSmallPage(mi_page_t* page, uint64_t used_bytes);

// How much of the page that is taken next was in use, and so is in memory.
uint32_t HeldSmallBytes(const Context* context);

// Whether such a page is there for a heap of the context, and no new one needed.
bool HoldsSmallPage(const mi_heap_t* heap, size_t block_size);

// A page for blocks of a size class: one that is held, or a new one.
mi_page_t* TakeSmallPageMemory(mi_heap_t* heap, size_t block_size);

// One that a block of `bytes` fits into exactly; nullptr: there is none.
mi_page_t* TakeHeldPage(Context* context, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_HELD_PAGES_H_
