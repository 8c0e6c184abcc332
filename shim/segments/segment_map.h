// Which addresses are the allocator's: where its segments begin, whose they are, and which page the
// slices of one belong to. free() asks it for every block.
#ifndef TASKMEM_SHIM_SEGMENTS_SEGMENT_MAP_H_
#define TASKMEM_SHIM_SEGMENTS_SEGMENT_MAP_H_

#include <cstddef>
#include <cstdint>

#include "shim/books/page_map.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// For each 32 MiB of address space, where a segment of ours begins: the number of its context
// (context.h), or kNobody; elsewhere 0.
inline constexpr int kSegmentShift = MI_SEGMENT_SHIFT;
static_assert(kSegmentShift == PageMap::kWindowShift);
inline constexpr size_t kSegments = size_t{1} << (PageMap::kAddressBits - kSegmentShift);
extern uint32_t g_segment_map[kSegments];

// Behind the slices in a segment's header: for each slice the distance from the segment to the
// page that it belongs to, if blocks may begin there. In huge segments there is none.
using PageDistance = uint16_t;
inline constexpr size_t kPageTableAt = (sizeof(mi_segment_t) + 63) / 64 * 64;
static_assert(kPageTableAt + MI_SLICES_PER_SEGMENT * sizeof(PageDistance) <= MI_SEGMENT_SLICE_SIZE);
static_assert(sizeof(mi_segment_t) <= UINT16_MAX);

// Where `block` lies in a window in which a segment of ours begins. NULL does not.
__attribute__((always_inline)) inline bool InWindow(const void* block) {
  const uintptr_t index = reinterpret_cast<uintptr_t>(block) >> kSegmentShift;
  return index < kSegments && g_segment_map[index] != 0;
}

// Where it may point to memory of ours: also to a block that begins where a segment ends, a huge
// one, aligned by more than a segment. free() asks the first question first, which costs less.
__attribute__((always_inline)) inline bool InSegment(const void* block) {
  return InWindow(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(block) - 1));
}

__attribute__((always_inline)) inline mi_segment_t* SegmentOfWindow(const void* block) {
  return reinterpret_cast<mi_segment_t*>(reinterpret_cast<uintptr_t>(block) &
                                         ~uintptr_t{MI_SEGMENT_MASK});
}

inline PageDistance* PageTableOf(mi_segment_t* segment) {
  return reinterpret_cast<PageDistance*>(reinterpret_cast<char*>(segment) + kPageTableAt);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_SEGMENT_MAP_H_
