#include "shim/pages/shared_takes.h"

#include "accounting/base/errno_keeper.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/lease.h"
#include "shim/pages/own_pages.h"
#include "shim/pages/page_steps.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/pages/shared_page.h"
#include "shim/segments/held_pages.h"
#include "shim/segments/page_memory.h"

namespace taskmem {

namespace {

// As many blocks of a shared page are free before they are used: a 16th of it at most waits.
uint32_t WorthTaking(const mi_page_t* page) {
  constexpr uint32_t kMost = 16;
  const uint32_t blocks = page->capacity / 16u + 1;
  return blocks < kMost ? blocks : kMost;
}

}  // namespace

mi_page_t* FirstWithFree(SharedPages* pages, uint8_t bin) {
  mi_page_queue_t* queue = &pages->heap.pages[bin];
  while (mi_page_t* page = queue->first) {
    _mi_page_free_collect(page, false);
    // For want of memory a page may not have become shared.
    const bool is_shared = IsShared(page);
    if (is_shared && page->free != nullptr && FreeBlocks(page) >= WorthTaking(page)) return page;
    HideInFull(page, queue);
    // It has collected what others freed just before.
    if (is_shared && FreeBlocks(page) >= WorthTaking(page)) _mi_page_unfull(page);
  }
  return nullptr;
}

__attribute__((noinline)) mi_page_t* GrowShared(SharedPages* pages, uint8_t bin) {
  mi_page_queue_t* queue = &pages->heap.pages[bin];
  const size_t block_size = queue->block_size;
  uint32_t blocks = StepBlocks(block_size);
  if (PageOwners* owners = pages->extendable[bin]; owners != nullptr) {
    mi_page_t* page = owners->page;
    const auto room = static_cast<uint32_t>(page->reserved - page->capacity);
    Extend(page, block_size, blocks < room ? blocks : room);
    ListIfExtendable(pages, owners);
    if (mi_page_is_in_full(page)) _mi_page_unfull(page);
    return page;
  }
  const ErrnoKeeper keeper;
  _mi_heap_collect_retired(&pages->heap, false);
  mi_page_t* page = TakeSmallPageMemory(&pages->heap, block_size);
  if (page == nullptr) return nullptr;
  StartPage(&pages->heap, page, block_size, blocks);
  if (!ShareFreshPage(pages, page)) {
    GivePageMemory(page, false, &pages->heap.tld->segments);
    return nullptr;
  }
  QueuePage(&pages->heap, queue, page);
  return page;
}

void CountTowardsHot(Pair* pair, uint8_t bin, uint32_t blocks) {
  const uint32_t sum = pair->shared_blocks[bin] + blocks;
  pair->shared_blocks[bin] = static_cast<uint8_t>(sum < UINT8_MAX ? sum : UINT8_MAX);
}

Outcome TakeShared(Context* context, Pair* pair, uint8_t bin, mi_page_t* page, size_t size,
                   bool zero, ChargeMode mode, void** result) {
  if (!Charge(pair->slot, page->xblock_size, mode)) return Outcome::kOverQuota;
  CountTowardsHot(pair, bin, 1);
  MarkOwner(OwnersOf(page), page->free, pair->slot);
  page->retire_expire = 0;
  *result = PopBlock(&context->shared.heap, page, size, zero);
  if (context->sample_interval == 0) CountShared(context, page->xblock_size);
  return Outcome::kDone;
}

__attribute__((noinline)) Outcome TakeSampled(Context* context, Pair* pair, uint8_t bin,
                                              size_t size, bool zero, ChargeMode mode,
                                              void** result) {
  const uint64_t interval = context->sample_interval;
  mi_page_t* page = FirstWithFree(&context->sampled, bin);
  if (page == nullptr) page = GrowShared(&context->sampled, bin);
  const Outcome outcome = page == nullptr
                              ? Outcome::kNoMemory
                              : TakeShared(context, pair, bin, page, size, zero, mode, result);
  context->sample_interval = outcome == Outcome::kDone ? interval : 0;
  return outcome;
}

}  // namespace taskmem
