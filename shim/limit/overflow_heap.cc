#include "shim/limit/overflow_heap.h"

#include <climits>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "shim/books/own_memory.h"
#include "shim/contexts/charge.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/large/large_blocks.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/own_pages.h"
#include "shim/pages/page_steps.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/pages/shared_page.h"
#include "shim/pages/shared_takes.h"
#include "shim/pages/take_small.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

namespace {

bool MakeOverflowHeaps(Context* context) {
  if (context->overflow != nullptr) return true;
  auto* heaps = static_cast<OverflowHeaps*>(OwnAllocate(sizeof(OverflowHeaps)));
  if (heaps == nullptr) return false;
  InitTld(&heaps->tld, &heaps->shared.heap);
  InitHeap(context, &heaps->tld, &heaps->shared.heap);
  context->overflow = heaps;
  return true;
}

bool EnterOverflow(Context* context, Pair* pair) {
  if (pair->in_overflow) return true;
  if (!MakeOverflowHeaps(context)) return false;
  if (pair->overflow_heap == nullptr) {
    auto* heap = static_cast<mi_heap_t*>(OwnAllocate(sizeof(mi_heap_t)));
    if (heap == nullptr) return false;
    InitHeap(context, &context->overflow->tld, heap);
    pair->overflow_heap = heap;
  }
  pair->in_overflow = true;
  SetFront(pair, pair->overflow_heap);
  return true;
}

void LeaveOverflow(Pair* pair) {
  pair->in_overflow = false;
  SetFront(pair, pair->heap != nullptr   ? pair->heap
                 : pair->runs != nullptr ? AsFront(pair->runs)
                                         : EmptyHeap());
}

// What a task may be charged before its next requests go to the file.
uint64_t OrdinaryLimit(uint64_t quota_bytes) {
  return OverflowComesFirst() ? OrdinaryShare(quota_bytes) : quota_bytes;
}

}  // namespace

bool PassesOrdinaryLimit(uint32_t slot, uint64_t bytes) {
  const uint64_t quota = g_books[slot].quota_bytes.load(std::memory_order_relaxed);
  if (quota == kNoQuota) return false;
  const uint64_t limit = OrdinaryLimit(quota);
  const uint64_t charged = g_books[slot].charged_bytes.load(std::memory_order_relaxed);
  return bytes > limit || charged > limit - bytes;
}

namespace {

// Far enough below it, and below --memory, that what comes next is ordinary again.
bool IsWellBelowLimit(uint32_t slot) {
  const PoolStats& pools = g_stats->pools;
  const uint64_t memory = pools.memory_bytes.load(std::memory_order_relaxed);
  const uint64_t used = pools.execution_used_bytes.load(std::memory_order_relaxed) +
                        pools.storage_used_bytes.load(std::memory_order_relaxed);
  const uint64_t untouched = pools.untouched_bytes.load(std::memory_order_relaxed);
  if (memory != kNoPool && used > memory - memory / 16 + untouched) return false;
  const uint64_t quota = g_books[slot].quota_bytes.load(std::memory_order_relaxed);
  const uint64_t limit = quota == kNoQuota ? quota : OrdinaryLimit(quota);
  return g_books[slot].charged_bytes.load(std::memory_order_relaxed) <= limit - limit / 8;
}

// A block that is a sample, from a page of the file whose frees look for samples. nullptr: there
// is no room for one.
void* TakeSampledInOverflow(Context* context, const Pair& pair, uint8_t bin, size_t size,
                            bool zero) {
  SharedPages* const pages = &context->overflow->shared;
  mi_page_t* page = FirstWithFree(pages, bin);
  if (page == nullptr && OverflowUsable(pair.slot, pages->heap.pages[bin].block_size)) {
    page = GrowShared(pages, bin);
  }
  if (page == nullptr) return nullptr;
  Charge(pair.slot, page->xblock_size, ChargeMode::kOverflow);
  NoteOverflowPeak(pair.slot);
  MarkOwner(OwnersOf(page), page->free, pair.slot);
  page->retire_expire = 0;
  return PopBlock(&pages->heap, page, size, zero);
}

}  // namespace

__attribute__((noinline)) Outcome TakeSmallInOverflow(Context* context, Pair* pair, uint8_t bin,
                                                      Found, size_t size, bool zero,
                                                      void** result) {
  mi_heap_t* heap = pair->overflow_heap;
  Found own = FindFree(context, &heap->pages[bin]);
  if (own.page == nullptr && OverflowUsable(pair->slot, heap->pages[bin].block_size)) {
    TakeIntoUse(heap, pair->slot, ChargeMode::kOverflow, &heap->pages[bin], &own);
    if (own.page != nullptr) NoteTakenInOverflow(pair->slot, kStepBytes);
  }
  if (own.page == nullptr) own = SearchQueue(context, &heap->pages[bin], INT_MAX);
  if (own.page != nullptr && IsSample(context, own.page, size)) {
    *result = TakeSampledInOverflow(context, *pair, bin, size, zero);
    if (*result != nullptr) return Outcome::kDone;
    context->sample_interval = 0;
    // Its list may have been cut before the block that was to be the sample.
    if (own.page->free == nullptr) own = SearchQueue(context, &heap->pages[bin], INT_MAX);
  }
  if (own.page == nullptr) {
    LeaveOverflow(pair);
    return Outcome::kOverQuota;
  }
  *result = PopBlock(heap, own.page, size, zero);
  return Outcome::kDone;
}

Outcome TakeInOverflow(Context* context, Pair* pair, size_t size, bool zero, size_t alignment,
                       void** result) {
  const ErrnoKeeper keeper;
  if (!OverflowUsable(pair->slot, size)) return Outcome::kOverQuota;
  if (IsLargeRequest(size, alignment)) {
    if (!MakeOverflowHeaps(context)) return Outcome::kNoMemory;
    TakeDelayedFrees(&context->overflow->shared.heap);
    const Outcome outcome =
        TakeLarge(context, pair->slot, size, zero, alignment, ChargeMode::kOverflow, result);
    if (outcome == Outcome::kDone) NoteTakenInOverflow(pair->slot, size);
    return outcome;
  }
  if (!EnterOverflow(context, pair)) return Outcome::kNoMemory;
  return TakeSmallInOverflow(context, pair, BinOf(size), {}, size, zero, result);
}

__attribute__((noinline)) bool OverflowFirst(Context* context, Pair* pair, size_t size, bool zero,
                                             size_t alignment, void** result) {
  if (context->overflow != nullptr) TakeDelayedFrees(&context->overflow->shared.heap);
  if (pair->overflow_heap != nullptr) TakeDelayedFrees(pair->overflow_heap);
  if (pair->in_overflow && IsWellBelowLimit(pair->slot)) LeaveOverflow(pair);
  if (!OverflowComesFirst() || pair->slot < kFirstTaskSlot) return false;
  if (IsLargeRequest(size, alignment)) {
    return PassesOrdinaryLimit(pair->slot, size) &&
           TakeInOverflow(context, pair, size, zero, alignment, result) == Outcome::kDone;
  }
  // The request itself is small: the pages behind it are what counts.
  if (!pair->in_overflow && PassesOrdinaryLimit(pair->slot, 0) &&
      OverflowUsable(pair->slot, size)) {
    EnterOverflow(context, pair);
  }
  return false;
}

Outcome GrowIntoOverflow(Context* context, Pair* pair, const Growth& growth, void** result) {
  t_thread.gives_room = true;
  const Outcome outcome = TakeInOverflow(context, pair, growth.size, false, 0, result);
  t_thread.gives_room = false;
  if (outcome != Outcome::kDone) return outcome;
  memcpy(*result, growth.block, growth.old_size);
  TaskmemFree(growth.block);
  return outcome;
}

}  // namespace taskmem
