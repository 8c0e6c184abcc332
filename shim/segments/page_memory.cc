#include "shim/segments/page_memory.h"

#include "shim/segments/segment_map.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {

// The segment has its first page: free() may find the pages of blocks in it from here on.
void OpenSegment(mi_segment_t* segment) {
  PageDistance* const table = PageTableOf(segment);
  // Addresses where no page ever was lead to the header's own slice, which counts no block.
  for (size_t i = 0; i < MI_SLICES_PER_SEGMENT; ++i) {
    table[i] = offsetof(mi_segment_t, slices);
  }
  g_segment_map[reinterpret_cast<uintptr_t>(segment) >> kSegmentShift] = ContextOf(segment)->number;
}

// Blocks may begin in the first slices of `page`.
void NotePageSlices(mi_segment_t* segment, const mi_page_t* page) {
  const auto distance = static_cast<PageDistance>(reinterpret_cast<const char*>(page) -
                                                  reinterpret_cast<const char*>(segment));
  constexpr uint32_t kMost = MI_MAX_SLICE_OFFSET + 1;
  const uint32_t slices = page->slice_count < kMost ? page->slice_count : kMost;
  PageDistance* const table =
      PageTableOf(segment) + (mi_page_to_slice(const_cast<mi_page_t*>(page)) - segment->slices);
  for (uint32_t i = 0; i < slices; ++i) table[i] = distance;
}

// A segment of the overflow file that has room for the page of a block of `bytes`.
size_t LeastSegmentFor(size_t bytes) {
  if (bytes <= MI_SMALL_OBJ_SIZE_MAX) return 2 * MI_SEGMENT_SLICE_SIZE;
  if (bytes <= MI_MEDIUM_PAGE_SIZE) return MI_SEGMENT_SLICE_SIZE + MI_MEDIUM_PAGE_SIZE;
  return MI_SEGMENT_SLICE_SIZE + _mi_align_up(bytes, MI_MEDIUM_PAGE_SIZE);
}

}  // namespace

mi_page_t* TakePageMemory(mi_heap_t* heap, size_t bytes, size_t huge_alignment) {
  if (__builtin_expect(heap->arena_id == kOverflowArena, 0)) {
    reinterpret_cast<OverflowHeaps*>(heap->tld)->wanted_bytes = LeastSegmentFor(bytes);
  }
  mi_page_t* page =
      _mi_segment_page_alloc(heap, bytes, huge_alignment, &heap->tld->segments, &heap->tld->os);
  if (page == nullptr) return nullptr;
  mi_segment_t* segment = _mi_page_segment(page);
  if (segment->kind != MI_SEGMENT_HUGE) {
    if (segment->used == 1) OpenSegment(segment);
    NotePageSlices(segment, page);
    CountSlack(ContextOf(segment), segment);
  }
  return page;
}

void GivePageMemory(mi_page_t* page, bool force, mi_segments_tld_t* tld) {
  mi_segment_t* segment = _mi_page_segment(page);
  if (segment->kind == MI_SEGMENT_HUGE) return _mi_segment_page_free(page, force, tld);
  Context* context = ContextOf(segment);
  // With its last page the segment leaves the context, for the cache.
  const bool is_last = segment->used == 1;
  if (is_last) AddSlack(context, -static_cast<int64_t>(CountedOf(segment)));
  _mi_segment_page_free(page, force, tld);
  if (!is_last) CountSlack(context, segment);
  if (context->purge_epoch != g_purge_epoch.load(std::memory_order_relaxed)) {
    PurgeContext(context, /*force=*/true);
  }
  NotePurgeDue(context);
}

}  // namespace taskmem
