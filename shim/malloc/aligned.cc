#include "shim/malloc/aligned.h"

#include <cstdint>
#include <cstring>

#include "shim/heap/heap.h"
#include "shim/mimalloc/seams.h"
#include "shim/segments/segment_map.h"

namespace taskmem {

namespace {

// What to ask the allocator for.
struct AlignedRequest {
  size_t size;
  size_t alignment;  // 0: every block of that size is aligned; otherwise it has to be within
};

size_t ClassSize(size_t size) { return _mi_bin_size(_mi_bin(size)); }

// `alignment` is a power of two of at least 32; size at most PTRDIFF_MAX.
AlignedRequest PlanAligned(size_t size, size_t alignment) {
  if (size == 0) size = 1;
  if (alignment > MI_ALIGNMENT_MAX) {
    // A segment of its own, whose first page is where the alignment wants it.
    return {size, alignment};
  }
  if (alignment > kPageAlignment) {
    const size_t room = size + alignment - kPageAlignment;
    return {room > MI_MEDIUM_OBJ_SIZE_MAX ? room : MI_MEDIUM_OBJ_SIZE_MAX + 1, alignment};
  }
  if (size > MI_MEDIUM_OBJ_SIZE_MAX) return {size, 0};
  const size_t rounded = _mi_align_up(size, alignment);
  if (alignment <= kSmallPageAlignment || ClassSize(rounded) > kLargestSmallClass) {
    return {rounded, 0};
  }
  // The smallest class beyond the small ones that is aligned, where it is not a waste.
  const size_t larger = _mi_align_up(kLargestSmallClass + 1, alignment);
  const size_t room = size + alignment - 1;
  if (ClassSize(room) >= larger) return {larger, 0};
  return {room, alignment};
}

}  // namespace

void* AlignWithin(void* block, size_t alignment) {
  const auto address = reinterpret_cast<uintptr_t>(block);
  const uintptr_t aligned = _mi_align_up(address, alignment);
  if (aligned == address) return block;
  mi_page_t* const page = _mi_ptr_page(block);
  mi_page_set_has_aligned(page, true);
  // From the slice where it begins mimalloc finds its page. Where a page has been extended not even
  // its first slices lead to it all.
  mi_segment_t* const segment = _mi_page_segment(page);
  mi_slice_t* const first = mi_page_to_slice(page);
  mi_slice_t* const slice =
      &segment->slices[(aligned - reinterpret_cast<uintptr_t>(segment)) >> MI_SEGMENT_SLICE_SHIFT];
  if (slice != first) {
    slice->slice_offset =
        static_cast<uint32_t>(sizeof(*slice) * static_cast<size_t>(slice - first));
    slice->slice_count = 0;
    slice->xblock_size = 1;
    if (segment->kind != MI_SEGMENT_HUGE) {
      PageTableOf(segment)[slice - segment->slices] = static_cast<PageDistance>(
          reinterpret_cast<char*>(page) - reinterpret_cast<char*>(segment));
    }
  }
  return reinterpret_cast<void*>(aligned);
}

__attribute__((noinline)) void* MemalignSlow(size_t size, size_t alignment) {
  if (size > PTRDIFF_MAX) return nullptr;
  const AlignedRequest request = PlanAligned(size, alignment);
  if (request.alignment == 0) return TaskmemMalloc(request.size);
  return MallocGeneric(nullptr, request.size, false, request.alignment);
}

}  // namespace taskmem

void* TaskmemReallocAligned(void* block, size_t size, size_t alignment) {
  const size_t old_size = TaskmemUsableSize(block);
  if (reinterpret_cast<uintptr_t>(block) % alignment == 0) {
    if (size <= old_size && size >= old_size / 2) return block;
    // Large blocks grow where they are, or are moved by whole pieces of that alignment.
    if (alignment <= taskmem::kPageAlignment && old_size > MI_MEDIUM_OBJ_SIZE_MAX &&
        size > MI_MEDIUM_OBJ_SIZE_MAX && taskmem::InSegment(block)) {
      return TaskmemRealloc(block, size);
    }
  }
  void* const moved = TaskmemMemalign(alignment, size);
  if (moved == nullptr) return nullptr;
  memcpy(moved, block, old_size < size ? old_size : size);
  TaskmemFree(block);
  return moved;
}
