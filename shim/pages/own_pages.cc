#include "shim/pages/own_pages.h"

#include "accounting/base/errno_keeper.h"
#include "shim/books/page_map.h"
#include "shim/mimalloc/embed.h"
#include "shim/pages/page_steps.h"
#include "shim/pages/shared_page.h"
#include "shim/segments/held_pages.h"
#include "shim/segments/page_memory.h"

namespace taskmem {

void HideInFull(mi_page_t* page, mi_page_queue_t* queue) {
  MoveToFullQueue(queue, page);
  _mi_page_free_collect(page, false);
}

namespace {

// The page is used up, and full.
void FillUp(mi_page_t* page, mi_page_queue_t* queue) {
  page->retire_expire = 0;
  SetPageFull(queue, page);
  // It has collected what others freed just before.
  if (page->free != nullptr && IsLeased(page)) {
    OwnersOf(page)->unsettled = true;
    SettleLease(page);
  }
}

}  // namespace

__attribute__((noinline)) Found SearchQueue(Context* context, mi_page_queue_t* queue, int room) {
  Found found;
  for (mi_page_t* page = queue->first; page != nullptr;) {
    mi_page_t* next = page->next;
    if (page->free == nullptr) NoteListEnd(context, page);
    CollectOwnPage(page);
    if (page->free != nullptr) {
      page->retire_expire = 0;
      found.page = page;
      if (page != queue->first) {
        mi_heap_t* heap = mi_page_heap(page);
        UnqueuePage(queue, page);
        PutFirst(heap, queue, page);
      }
      return found;
    }
    if (page->capacity == page->reserved) {
      if (!IsLeased(page) || OwnersOf(page)->aside == nullptr) FillUp(page, queue);
    } else {
      if (found.extendable == nullptr) found.extendable = page;
      if (room-- <= 0) return found;
    }
    page = next;
  }
  return found;
}

namespace {

// Makes a page of the pair's own, charged to `slot`.
__attribute__((noinline)) Outcome TakeNewPage(mi_heap_t* heap, uint32_t slot, ChargeMode mode,
                                              mi_page_queue_t* queue, uint32_t blocks,
                                              bool is_tight, Found* found) {
  const size_t block_size = queue->block_size;
  const ErrnoKeeper keeper;
  if (!HoldsSmallPage(heap, block_size)) _mi_heap_collect_retired(heap, false);
  uint64_t bytes = uint64_t{blocks} * block_size;
  // What is in memory already is charged at once, where malloc would come for few blocks at a
  // time.
  bool is_charged = false;
  if (!is_tight && block_size > MI_SMALL_SIZE_MAX && block_size <= MI_SMALL_OBJ_SIZE_MAX &&
      mode == ChargeMode::kWithinQuota) {
    const auto in_memory = static_cast<uint32_t>(
        HeldSmallBytes(reinterpret_cast<Context*>(heap->thread_id)) / block_size);
    if (in_memory > blocks && Charge(slot, uint64_t{in_memory} * block_size, mode)) {
      is_charged = true;
      blocks = in_memory;
      bytes = uint64_t{blocks} * block_size;
    }
  }
  if (!is_charged && !Charge(slot, bytes, mode)) return Outcome::kOverQuota;
  mi_page_t* const page = TakeSmallPageMemory(heap, block_size);
  if (page == nullptr) {
    Uncharge(slot, bytes, mode);
    return Outcome::kNoMemory;
  }
  StartPage(heap, page, block_size, blocks);
  if (!PageMap::SetAll(SliceStart(page->free), page->slice_count, PageMap::Owned(slot))) {
    GivePageMemory(page, false, &heap->tld->segments);
    Uncharge(slot, bytes, mode);
    return Outcome::kNoMemory;
  }
  CountPage(slot, 1);
  PutFirst(heap, queue, page);
  found->page = page;
  return Outcome::kDone;
}

}  // namespace

__attribute__((noinline)) Outcome TakeIntoUse(mi_heap_t* heap, uint32_t slot, ChargeMode mode,
                                              mi_page_queue_t* queue, Found* found) {
  const size_t block_size = queue->block_size;
  mi_page_t* page = found->extendable;
  const bool is_tight = mode != ChargeMode::kOverflow && IsNearQuota(slot);
  uint32_t blocks = is_tight ? 1 : StepBlocks(block_size);
  if (page == nullptr) return TakeNewPage(heap, slot, mode, queue, blocks, is_tight, found);
  const auto room = static_cast<uint32_t>(page->reserved - page->capacity);
  if (blocks > room) blocks = room;
  if (!Charge(slot, uint64_t{blocks} * block_size, mode)) return Outcome::kOverQuota;
  ExtendOwn(page, block_size, blocks);
  page->retire_expire = 0;
  found->page = page;
  return Outcome::kDone;
}

}  // namespace taskmem
