#include "shim/segments/held_pages.h"

#include "accounting/base/errno_keeper.h"
#include "shim/base/os.h"
#include "shim/mimalloc/embed.h"
#include "shim/segments/page_memory.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {

void LetGo(Context* context, mi_page_t*& place) {
  mi_page_t* const page = place;
  if (page == nullptr) return;
  place = nullptr;
  AddSlack(context, -static_cast<int64_t>(page->slice_count * MI_SEGMENT_SLICE_SIZE));
  GivePageMemory(page, /*force=*/false, &context->tld.segments);
}

// let_go(place) for each of them. Where memory is short all others may go meanwhile.
template <typename LetGo>
void ForEachHeld(Context* context, LetGo let_go) {
  for (mi_page_t*& place : context->held_pages) {
    if (place != nullptr) let_go(place);
  }
  HeldSmallPage* const small = context->held_small_pages;
  for (uint32_t i = 0; i < context->held_small_count; ++i) {
    if (small[i].page != nullptr) let_go(small[i].page);
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < context->held_small_count; ++i) {
    if (small[i].page != nullptr) small[kept++] = small[i];
  }
  context->held_small_count = kept;
}

}  // namespace

void LetHeldPagesGo(Context* context) {
  ForEachHeld(context, [context](mi_page_t*& place) {
    mi_segment_t* const segment = _mi_page_segment(place);
    const bool is_last = segment->used == 1;  // the segment goes with it
    LetGo(context, place);
    if (is_last || os::IsSealed()) return;
    DecommitFree(segment, /*force=*/true, context->tld.segments.stats);
    CountSlack(context, segment);
  });
}

void ReleaseHeldPages(Context* context) {
  const ErrnoKeeper keeper;
  ForEachHeld(context, [context](mi_page_t*& place) { LetGo(context, place); });
}

void LetHeldPagesBehindGo(Context* context, const mi_slice_t* behind, size_t slices) {
  ForEachHeld(context, [=](mi_page_t*& place) {
    const mi_slice_t* const held = mi_page_to_slice(place);
    if (held >= behind && held < behind + slices) LetGo(context, place);
  });
}

namespace {

// Whether pages of the segment may be held: not those of the file, nor where memory is short.
bool MayHold(const mi_segment_t* segment) {
  return segment->kind != MI_SEGMENT_HUGE && segment->memid != kOverflowMemory && !os::IsSealed() &&
         g_short_until_ns.load(std::memory_order_relaxed) == 0 &&
         ContextOf(segment)->purge_epoch == g_purge_epoch.load(std::memory_order_relaxed);
}

// As mimalloc clears it.
void ClearPage(mi_page_t* page) {
  page->is_zero_init = false;
  constexpr size_t kOwnFields = offsetof(mi_page_t, capacity);
  memset(reinterpret_cast<char*>(page) + kOwnFields, 0, sizeof(*page) - kOwnFields);
  page->xblock_size = 1;
}

void NoteHeld(Context* context, const mi_page_t* page) {
  AddSlack(context, static_cast<int64_t>(page->slice_count * MI_SEGMENT_SLICE_SIZE));
  NotePurgeDue(context);
}

}  // namespace

bool HoldPage(mi_page_t* page) {
  constexpr size_t kMostSlices = 16;
  const mi_segment_t* const segment = _mi_page_segment(page);
  if (page->slice_count > kMostSlices || !MayHold(segment)) return false;
  Context* const context = ContextOf(segment);
  mi_page_t*& place = context->held_pages[context->next_held++ % kHeldPages];
  LetGo(context, place);
  ClearPage(page);
  place = page;
  NoteHeld(context, page);
  return true;
}

bool HoldSmallPage(mi_page_t* page, uint64_t used_bytes) {
  mi_segment_t* const segment = _mi_page_segment(page);
  if (page->slice_count != 1 || page->xblock_size <= MI_SMALL_SIZE_MAX || !MayHold(segment)) {
    return false;
  }
  Context* const context = ContextOf(segment);
  if (context->held_small_count == kHeldSmallPages) return false;
  ClearPage(page);
  context->held_small_pages[context->held_small_count++] = {page,
                                                            static_cast<uint32_t>(used_bytes)};
  NoteHeld(context, page);
  return true;
}

uint32_t HeldSmallBytes(const Context* context) {
  const uint32_t count = context->held_small_count;
  return count != 0 ? context->held_small_pages[count - 1].used_bytes : 0;
}

bool HoldsSmallPage(const mi_heap_t* heap, size_t block_size) {
  const auto* const context = reinterpret_cast<const Context*>(heap->thread_id);
  return block_size <= MI_SMALL_OBJ_SIZE_MAX && heap->tld == &context->tld &&
         context->held_small_count != 0;
}

mi_page_t* TakeSmallPageMemory(mi_heap_t* heap, size_t block_size) {
  if (!HoldsSmallPage(heap, block_size)) return TakePageMemory(heap, block_size, 0);
  auto* const context = reinterpret_cast<Context*>(heap->thread_id);
  mi_page_t* const page = context->held_small_pages[--context->held_small_count].page;
  AddSlack(context, -static_cast<int64_t>(MI_SEGMENT_SLICE_SIZE));
  return page;
}

mi_page_t* TakeHeldPage(Context* context, size_t bytes) {
  const size_t slices = SlicesOf(bytes);
  for (mi_page_t*& place : context->held_pages) {
    mi_page_t* const page = place;
    if (page == nullptr || page->slice_count != slices) continue;
    place = nullptr;
    AddSlack(context, -static_cast<int64_t>(slices * MI_SEGMENT_SLICE_SIZE));
    return page;
  }
  return nullptr;
}

}  // namespace taskmem
