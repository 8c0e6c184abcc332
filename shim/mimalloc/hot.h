// What mimalloc's sources have for every allocation, written again to be inlined outside their
// unit. The debug library compares what these say with what mimalloc says.
#ifndef TASKMEM_SHIM_MIMALLOC_HOT_H_
#define TASKMEM_SHIM_MIMALLOC_HOT_H_

#include <cstring>

#include "accounting/base/debug.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/seams.h"

namespace taskmem {

// The size class of a medium size, above MI_SMALL_SIZE_MAX.
__attribute__((always_inline)) inline uint32_t MediumBin(size_t size) {
  const size_t words = (size + 7) / 8 - 1;
  const auto highest = static_cast<uint32_t>(63 - __builtin_clzl(words));
  const uint32_t bin = (highest << 2) + (static_cast<uint32_t>(words >> (highest - 2)) & 3) - 3;
  TASKMEM_DCHECK(bin == _mi_bin(size));
  return bin;
}

// The size class of any size up to MI_MEDIUM_OBJ_SIZE_MAX, as _mi_bin.
inline uint8_t BinOf(size_t size) {
  const size_t words = (size + 7) / 8;
  const size_t bin = words <= 1 ? 1 : words <= 8 ? (words + 1) & ~size_t{1} : MediumBin(size);
  TASKMEM_DCHECK(bin == _mi_bin(size));
  return static_cast<uint8_t>(bin);
}

// Where the blocks of a page begin, as _mi_page_start: those of at most kSmallBlockBytes not at its
// first byte.
inline constexpr size_t kSmallBlockBytes = 1024;
inline constexpr size_t kSmallPageStart = 3 * MI_MAX_ALIGN_GUARANTEE;
inline char* PageBegin(const mi_segment_t* segment, const mi_page_t* page) {
  const size_t block_size = page->xblock_size;
  const auto slice =
      static_cast<size_t>(reinterpret_cast<const mi_slice_t*>(page) - segment->slices);
  char* const begin =
      reinterpret_cast<char*>(const_cast<mi_segment_t*>(segment)) + slice * kSliceBytes +
      (block_size >= sizeof(void*) && block_size <= kSmallBlockBytes ? kSmallPageStart : 0);
  TASKMEM_DCHECK(reinterpret_cast<uint8_t*>(begin) == _mi_page_start(segment, page, nullptr));
  return begin;
}

// The first free block of the page, as _mi_page_malloc. A handler may have taken the last one
// since it was seen.
__attribute__((always_inline)) inline void* PopBlock(mi_heap_t* heap, mi_page_t* page, size_t size,
                                                     bool zero) {
  mi_block_t* const block = page->free;
  if (__builtin_expect(block == nullptr, 0)) return MallocGeneric(heap, size, zero, 0);
  ++page->used;
  page->free = reinterpret_cast<mi_block_t*>(block->next);
  if (__builtin_expect(zero, 0)) {
    memset(block, 0, page->is_zero ? sizeof(block->next) : page->xblock_size);
  }
  return block;
}

// UpdateDirectEntries, where they do not lead there already.
inline void LookFirstInto(mi_heap_t* heap, const mi_page_queue_t* queue) {
  const size_t size = queue->block_size;
  if (size > MI_SMALL_SIZE_MAX || heap->pages_free_direct[(size + 7) / 8] == queue->first) return;
  UpdateDirectEntries(heap, queue);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MIMALLOC_HOT_H_
