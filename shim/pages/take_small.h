// A block of a size class: from the pair's run, a page of its own, or elsewhere.
#ifndef TASKMEM_SHIM_PAGES_TAKE_SMALL_H_
#define TASKMEM_SHIM_PAGES_TAKE_SMALL_H_

#include <cstddef>
#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/outcome.h"
#include "shim/pages/own_pages.h"
#include "shim/pages/run_blocks.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/pages/shared_takes.h"

namespace taskmem {

// A block of a page of the pair's heap that has a free one.
__attribute__((always_inline)) inline Outcome TakeFromOwn(Context* context, Pair* pair, uint8_t bin,
                                                          mi_page_t* page, size_t size, bool zero,
                                                          ChargeMode mode, void** result) {
  if (__builtin_expect(IsSample(context, page, size), 0)) {
    return TakeSampled(context, pair, bin, size, zero, mode, result);
  }
  *result = PopBlock(pair->heap, page, size, zero);
  return Outcome::kDone;
}

// A block of up to 128 KiB when the pair's run and its own pages have none: free blocks in shared
// pages, else new memory for the one or the other.
Outcome TakeSmallElsewhere(Context* context, Pair* pair, uint8_t bin, Found own, size_t size,
                           bool zero, ChargeMode mode, void** result);

// The pair is in overflow, and its own ordinary pages have no free block. A full file ends
// that: the request has to be made room for in some other way. (limit/overflow_heap.cc)
Outcome TakeSmallInOverflow(Context* context, Pair* pair, uint8_t bin, Found own, size_t size,
                            bool zero, void** result);

// A block of up to 128 KiB, from a page of the pair's own where one is free.
__attribute__((always_inline)) inline Outcome TakeSmall(Context* context, Pair* pair, size_t size,
                                                        bool zero, ChargeMode mode, void** result) {
  const uint8_t bin = BinOf(size);
  Found own;
  if (pair->runs != nullptr && bin < kRunBins) {
    const mi_page_t& run = pair->runs->run[bin];
    if (run.free != nullptr || run.local_free != nullptr) {
      return TakeFromRun(context, pair, bin, size, zero, mode, result);
    }
  }
  if (pair->heap != nullptr) {
    mi_page_queue_t* queue = &pair->heap->pages[bin];
    own = FindFree(context, queue);
    if (__builtin_expect(own.page != nullptr, 1)) {
      if (pair->runs != nullptr) LookFirstInto(pair->heap, queue);
      return TakeFromOwn(context, pair, bin, own.page, size, zero, mode, result);
    }
  }
  if (__builtin_expect(pair->in_overflow && mode != ChargeMode::kOverQuota, 0)) {
    return TakeSmallInOverflow(context, pair, bin, own, size, zero, result);
  }
  return TakeSmallElsewhere(context, pair, bin, own, size, zero, mode, result);
}

// Not from a page of a size class. Above MI_ALIGNMENT_MAX an alignment is the segment's matter.
inline bool IsLargeRequest(size_t size, size_t alignment) {
  return size > MI_MEDIUM_OBJ_SIZE_MAX || alignment > MI_ALIGNMENT_MAX;
}

// Blocks that other threads freed in full pages.
inline void TakeDelayedFrees(mi_heap_t* heap) {
  if (mi_atomic_load_ptr_relaxed(mi_block_t, &heap->thread_delayed_free) != nullptr) {
    _mi_heap_delayed_free_partial(heap);
  }
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_TAKE_SMALL_H_
