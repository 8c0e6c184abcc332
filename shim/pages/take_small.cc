#include "shim/pages/take_small.h"

#include <climits>

#include "shim/pages/lease.h"

namespace taskmem {

namespace {

// Whether the pair gets pages of its own, or leases them, for the class: because it takes much of
// it, or because for some time no other pair of the thread wanted anything. The pair that did so
// last does not keep others waiting once it is gone.
bool GetsPages(Context* context, Pair* pair, uint8_t bin) {
  constexpr uint8_t kInRow = 16;
  constexpr uint8_t kInRowOfFirst = 2;
  if (context->last_pair != pair) {
    context->last_pair = pair;
    context->requests_in_row = 0;
  }
  if (context->requests_in_row < kInRow) ++context->requests_in_row;
  if (pair->always_hot || pair == context->tenant ||
      pair->shared_blocks[bin] >= HotThreshold(context->shared.heap.pages[bin].block_size)) {
    return true;
  }
  const bool is_alone = context->tenant == nullptr;
  if (context->requests_in_row < (is_alone ? kInRowOfFirst : kInRow)) return false;
  context->tenant = pair;
  return true;
}

// Whether the pair takes several blocks of the class at once: from its third on.
bool UsesRun(Context* context, Pair* pair, uint8_t bin) {
  constexpr uint8_t kSingleTakes = 2;
  if (bin >= kRunBins) return false;
  if (pair->runs == nullptr) {
    if (pair->single_takes < kSingleTakes) {
      ++pair->single_takes;
    } else {
      (void)OpenRuns(context, pair);
    }
    return false;
  }
  if (pair->runs->taken[bin] >= kSingleTakes) return true;
  ++pair->runs->taken[bin];
  return false;
}

}  // namespace

__attribute__((noinline)) Outcome TakeSmallElsewhere(Context* context, Pair* pair, uint8_t bin,
                                                     Found own, size_t size, bool zero,
                                                     ChargeMode mode, void** result) {
  const bool is_hot = GetsPages(context, pair, bin);
  mi_page_t* page = FirstWithFree(&context->shared, bin);
  if (page == nullptr && !is_hot) {
    page = GrowShared(&context->shared, bin);
    if (page == nullptr) return Outcome::kNoMemory;
  }
  Outcome outcome = Outcome::kOverQuota;
  if (page != nullptr && !is_hot) {
    if (!UsesRun(context, pair, bin)) {
      outcome = TakeShared(context, pair, bin, page, size, zero, mode, result);
      if (outcome == Outcome::kDone) return outcome;
    } else {
      outcome = Refill(context, pair, bin, page, mode);
      if (outcome == Outcome::kDone) {
        return TakeFromRun(context, pair, bin, size, zero, mode, result);
      }
    }
  } else {
    if (pair->heap == nullptr && !MakeHeap(context, pair)) return Outcome::kNoMemory;
    if (page == nullptr) {
      outcome = TakeIntoUse(pair->heap, pair->slot, mode, &pair->heap->pages[bin], &own);
    } else if (Lease(context, pair, bin, page, mode)) {
      own.page = page;
    }
  }
  // Memory that is free is never the reason for a refusal.
  if (own.page == nullptr && outcome == Outcome::kOverQuota && pair->heap != nullptr) {
    own = SearchQueue(context, &pair->heap->pages[bin], INT_MAX);
  }
  if (own.page == nullptr) return outcome;
  return TakeFromOwn(context, pair, bin, own.page, size, zero, mode, result);
}

}  // namespace taskmem
