// Aligned blocks.
//
// Where blocks begin in a page decides what their size class is aligned to:
//
//   classes up to 1,024 bytes   at 384 bytes from the page's first 64 KiB: 128 at most
//   larger classes              at a multiple of 64 KiB: 64 KiB at most
//   large blocks                at a multiple of 64 KiB
//
// So most alignments cost nothing but a size that is a multiple of them. For the others a
// block is taken that has room to align within, and its page is marked: from any address in
// a block mimalloc finds its beginning.
#ifndef TASKMEM_SHIM_MALLOC_ALIGNED_H_
#define TASKMEM_SHIM_MALLOC_ALIGNED_H_

#include <cstddef>

#include "shim/mimalloc/types.h"

namespace taskmem {

inline constexpr size_t kSmallPageAlignment = MI_MAX_ALIGN_GUARANTEE;
inline constexpr size_t kLargestSmallClass = 1024;
inline constexpr size_t kPageAlignment = MI_SEGMENT_SLICE_SIZE;

// The aligned address in a block with room for that. By whoever has the context it is from.
void* AlignWithin(void* block, size_t alignment);

void* MemalignSlow(size_t size, size_t alignment);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_ALIGNED_H_
