// The memory of segments: what mimalloc asks for one by its seams (mimalloc/seams.h), from the
// cache of free ones, what is kept of huge ones, the overflow file, or the system.
#include <sys/mman.h>

#include <cstddef>

#include "shim/base/os.h"
#include "shim/books/page_map.h"
#include "shim/contexts/context.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/seams.h"
#include "shim/segments/kept_segments.h"
#include "shim/segments/segment_addresses.h"
#include "shim/segments/segment_map.h"
#include "shim/segments/slack.h"

namespace taskmem {

uint32_t g_segment_map[kSegments];

void NoteSegment(const mi_segment_t* segment, bool taken) {
  const uintptr_t index = reinterpret_cast<uintptr_t>(segment) >> kSegmentShift;
  if (index < kSegments) g_segment_map[index] = taken ? kNobody : 0;
}

void NoteFreedSegment(const mi_segment_t* segment) {
  if (segment->memid != kHugeMemory) NoteSegment(segment, false);
}

namespace {

OverflowHeaps* HeapsOf(mi_os_tld_t* tld) {
  return reinterpret_cast<OverflowHeaps*>(reinterpret_cast<char*>(tld) - offsetof(mi_tld_t, os));
}

void* WithHugePages(void* segment, size_t bytes) {
  if (__builtin_expect(t_thread.wants_huge_pages, 0) && segment != nullptr) {
    AskForHugePages(static_cast<char*>(segment), bytes);
  }
  return segment;
}

}  // namespace

void* TakeSegmentMemory(size_t* slices, size_t size, size_t alignment, size_t align_offset,
                        bool* commit, bool* large, bool* is_pinned, bool* is_zero,
                        mi_arena_id_t arena, size_t* memory_id, mi_os_tld_t* tld) {
  if (__builtin_expect(arena != kOverflowArena, 1)) {
    // Ordinary segments are kept for later; no other is as large as they are, unless by chance.
    const bool is_huge = size != MI_SEGMENT_SIZE || align_offset != 0;
    void* start = nullptr;
    if (is_huge && alignment == MI_SEGMENT_ALIGN && align_offset == 0 && !t_thread.wants_zeros) {
      start = TakeKeptSegmentMemory(size);
    }
    if (start == nullptr) {
      FitKeptMemory();
      if (is_huge) {
        start = ReserveAligned(WholeWindow(size), alignment, align_offset, PROT_READ | PROT_WRITE);
        start = WithHugePages(start, size);
      }
    }
    if (start != nullptr) {
      *commit = *is_zero = true;
      *large = *is_pinned = false;
      *memory_id = kHugeMemory;
      return start;
    }
    start = _mi_arena_alloc_aligned(size, alignment, align_offset, commit, large, is_pinned,
                                    is_zero, arena, memory_id, tld);
    return WithHugePages(start, size);
  }
  // Pinned: mimalloc does not decommit it.
  *commit = *is_pinned = *is_zero = true;
  *large = false;
  *memory_id = kOverflowMemory;
  if (slices == nullptr) return TakeOverflowSegment(size, alignment, align_offset);
  void* const start = TakeOverflowSegment(&size, HeapsOf(tld)->wanted_bytes, alignment);
  *slices = size / MI_SEGMENT_SLICE_SIZE;
  return start;
}

void ReleaseSegmentMemory(void* start, size_t size, size_t alignment, size_t align_offset,
                          size_t memory_id, bool all_committed, mi_stats_t* stats) {
  if (__builtin_expect(memory_id == kOverflowMemory, 0)) {
    return ReleaseOverflowSegment(start, size);
  }
  if (memory_id == kHugeMemory) {
    const bool is_plain = align_offset == 0 && !IsNeverKept(static_cast<mi_segment_t*>(start));
    if (is_plain && KeepSegmentMemory(start, size)) return;
    NoteSegment(static_cast<mi_segment_t*>(start), false);
    return os::Unmap(start, WholeWindow(size));
  }
  PageMap::Forget(start);
  _mi_arena_free(start, size, alignment, align_offset, memory_id, all_committed, stats);
}

bool CacheSegment(void* start, size_t size, size_t memory_id, const mi_commit_mask_t* commit_mask,
                  const mi_commit_mask_t* decommit_mask, bool is_large, bool is_pinned,
                  mi_os_tld_t* tld) {
  // What is free of the file goes back to it at once.
  if (memory_id == kOverflowMemory) return false;
  const int64_t bytes = DirtyBytes(*decommit_mask);
  // Before another thread can take it.
  g_slack_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (_mi_segment_cache_push(start, size, memory_id, commit_mask, decommit_mask, is_large,
                             is_pinned, tld)) {
    return true;
  }
  g_slack_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

void* UncacheSegment(size_t size, mi_commit_mask_t* commit_mask, mi_commit_mask_t* decommit_mask,
                     bool* large, bool* is_pinned, bool* is_zero, mi_arena_id_t arena,
                     size_t* memory_id, mi_os_tld_t* tld) {
  void* segment = _mi_segment_cache_pop(size, commit_mask, decommit_mask, large, is_pinned, is_zero,
                                        arena, memory_id, tld);
  if (segment != nullptr) {
    g_slack_bytes.fetch_sub(DirtyBytes(*decommit_mask), std::memory_order_relaxed);
  }
  return segment;
}

void NoteCachedPurged(const mi_commit_mask_t* decommit_mask) {
  g_slack_bytes.fetch_sub(DirtyBytes(*decommit_mask), std::memory_order_relaxed);
}

}  // namespace taskmem
