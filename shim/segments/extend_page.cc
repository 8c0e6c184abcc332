#include "shim/segments/extend_page.h"

#include "shim/books/page_map.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/segments/held_pages.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {

// The page has that many slices from here on.
void SetSlices(mi_page_t* page, size_t slices) {
  page->slice_count = static_cast<uint32_t>(slices);
  // The last one leads to the first, for who frees what is behind it.
  mi_slice_t* const first = mi_page_to_slice(page);
  mi_slice_t* const last = first + (slices - 1);
  if (last == first) return;
  last->slice_offset = static_cast<uint32_t>(sizeof(*last) * (slices - 1));
  last->slice_count = 0;
  last->xblock_size = 1;
}

}  // namespace

void GiveRoomBack(Context* context, mi_page_t* page, size_t bytes) {
  mi_segment_t* const segment = _mi_page_segment(page);
  const size_t needed = SlicesOf(bytes);
  const size_t room = page->slice_count - needed;
  if (room == 0) return;
  SetSlices(page, needed);
  mi_slice_t* const behind = mi_page_to_slice(page) + needed;
  behind->slice_count = static_cast<uint32_t>(room);
  behind->slice_offset = 0;
  FreeAndJoin(behind, &context->tld.segments);
  CountSlack(context, segment);
}

namespace {

// The free slices behind a page; nullptr: there is another page, or the segment ends.
mi_slice_t* FreeBehind(mi_segment_t* segment, mi_page_t* page) {
  mi_slice_t* const behind = mi_page_to_slice(page) + page->slice_count;
  return behind < SlicesEnd(segment) && behind->xblock_size == 0 ? behind : nullptr;
}

}  // namespace

bool CanExtend(Context* context, mi_segment_t* segment, mi_page_t* page, size_t slices) {
  if (segment->kind == MI_SEGMENT_HUGE || ContextOf(segment) != context) return false;
  LetHeldPagesBehindGo(context, mi_page_to_slice(page) + page->slice_count, slices);
  const mi_slice_t* const behind = FreeBehind(segment, page);
  return behind != nullptr && behind->slice_count >= slices;
}

namespace {

bool IsInMemory(const mi_segment_t* segment, size_t slice) {
  static_assert(MI_COMMIT_SIZE == MI_SEGMENT_SLICE_SIZE);
  const mi_commit_mask_t& mask = segment->decommit_mask;
  return (mask.mask[slice / MI_COMMIT_MASK_FIELD_BITS] >> (slice % MI_COMMIT_MASK_FIELD_BITS)) & 1;
}

}  // namespace

bool ExtendPage(Context* context, mi_segment_t* segment, mi_page_t* page, size_t least,
                size_t room) {
  mi_slice_t* const behind = FreeBehind(segment, page);
  const size_t index = static_cast<size_t>(behind - segment->slices);
  const size_t free_slices = behind->slice_count;
  size_t slices = least;
  while (slices < free_slices && slices < least + room && !IsInMemory(segment, index + slices)) {
    ++slices;
  }
  mi_segments_tld_t* const tld =
      segment->memid == kOverflowMemory ? &context->overflow->tld.segments : &context->tld.segments;
  RemoveSpan(behind, tld);
  const bool is_committed = CommitSlices(segment, behind, slices, tld->stats);
  if (!is_committed) slices = 0;
  if (slices < free_slices) {
    FreeSpan(segment, index + slices, free_slices - slices, tld);
  }
  if (!is_committed) return false;
  const size_t old_slices = page->slice_count;
  SetSlices(page, old_slices + slices);
  PageMap::ExtendLarge(PageBegin(segment, page), old_slices, old_slices + slices);
  CountSlack(context, segment);
  return true;
}

}  // namespace taskmem
