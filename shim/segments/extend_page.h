// The page of a large block takes the free slices behind it, so that the block
// grows without a copy.
//
//   | page      | free           | other page |
//   | page, larger     | free    | other page |
//
// What a page has beyond its block, room, is neither charged nor slack, so it must not be in
// memory: slices that are free and still in memory are taken only for the block itself.
#ifndef TASKMEM_SHIM_SEGMENTS_EXTEND_PAGE_H_
#define TASKMEM_SHIM_SEGMENTS_EXTEND_PAGE_H_

#include <cstddef>

#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// The page of a block of `bytes` that grows has been taken, with room that was free and still in
// memory. It becomes free again, for other blocks or for this one when it grows. That costs less
// than memory that is dropped and comes again.
void GiveRoomBack(Context* context, mi_page_t* page, size_t bytes);

// Whether a page of this context, and no huge one, can be made that much larger.
bool CanExtend(Context* context, mi_segment_t* segment, mi_page_t* page, size_t slices);

// After CanExtend: takes `least` slices, and up to `room` more. False: the system has no memory.
bool ExtendPage(Context* context, mi_segment_t* segment, mi_page_t* page, size_t least,
                size_t room);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_EXTEND_PAGE_H_
