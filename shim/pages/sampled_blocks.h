// Which blocks are samples (sites.h).
//
// malloc's fast path knows nothing of it. Blocks of small pages are counted when their free
// list is handed to the fast path: where the clock says that a sample falls into the list, it
// is cut before that block, so that malloc comes back for it. So every allocated byte has the
// same chance, also where the same caller always uses a list up. A sampled block comes from a
// shared page, whose frees take the generic path and look for samples.
#ifndef TASKMEM_SHIM_PAGES_SAMPLED_BLOCKS_H_
#define TASKMEM_SHIM_PAGES_SAMPLED_BLOCKS_H_

#include <cstddef>
#include <cstdint>

#include "shim/base/os.h"
#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"
#include "shim/pages/shared_page.h"
#include "shim/sites/sites.h"

namespace taskmem {

// Of a page of a pair's own, a leased one or a run: what its free list is.
inline constexpr uintptr_t kListNotCounted = 0;
inline constexpr uintptr_t kListCounted = 1;
inline constexpr uintptr_t kListCut = 2;  // a sample follows it; the interval's doublings above
inline constexpr int kDoublingsShift = 8;
// Of a page that one large block has: the block is a sample.
inline constexpr uintptr_t kIsSample = 4;

// An interval with which every block is a sample and stands for itself.
inline constexpr uint64_t kEachOne = 1;

inline uintptr_t& ListState(mi_page_t* page) {
  return IsShared(page) ? OwnersOf(page)->list_state : page->padding[0];
}

// The clock says that the block is a sample, or has not been started.
bool CountSample(Context* context, uint64_t bytes);

// Counts one block. True: it is a sample.
__attribute__((always_inline)) inline bool CountBlock(Context* context, uint64_t bytes) {
  if (__builtin_expect(!context->clock.Count(bytes), 1)) return false;
  return CountSample(context, bytes);
}

// The free list of a page of a pair's own is used up: is a sample due?
inline void NoteListEnd(Context* context, mi_page_t* page) {
  if (__builtin_expect(!g_sites_on, 0)) return;
  const uintptr_t state = ListState(page);
  if (__builtin_expect((state & kListCut) != 0, 0)) {
    context->due_interval = g_site_table.head().interval_bytes.load(std::memory_order_relaxed)
                            << (state >> kDoublingsShift);
  }
  ListState(page) = kListNotCounted;
}

// Counts what the page's free list will serve. True: the present allocation is a sample, and
// must not be served from it.
bool CountList(Context* context, mi_page_t* page);

// An allocation that a page of the pair's own would serve. True: it is a sample.
inline bool IsSample(Context* context, mi_page_t* page, size_t size) {
  if (__builtin_expect(!g_sites_on, 0)) return false;
  if (size > MI_SMALL_SIZE_MAX) return CountBlock(context, page->xblock_size);
  if (ListState(page) != kListNotCounted) return false;
  return CountList(context, page);
}

// An allocation that a shared page serves.
inline void CountShared(Context* context, uint32_t block_size) {
  if (g_sites_on) (void)CountBlock(context, block_size);
}

// Blocks as large as the interval are recorded one by one as long as that costs little.
inline void CountLarge(Context* context, uint64_t bytes) {
  if (!g_sites_on) return;
  if (bytes >= g_site_table.head().interval_bytes.load(std::memory_order_relaxed) &&
      (!g_sites_adapt || context->large_samples.Allows(os::MonotonicNs))) {
    context->sample_interval = kEachOne;
  } else {
    (void)CountBlock(context, bytes);
  }
}

// The large block at `start`, of that page, is freed.
inline void ForgetSample(mi_page_t* page, const char* start) {
  if (ListState(page) == kIsSample) g_site_table.Forget(reinterpret_cast<uint64_t>(start));
}

// It has been resized.
inline void ResizeSample(mi_page_t* page, const char* start, uint64_t bytes) {
  if (ListState(page) == kIsSample) g_site_table.Resize(reinterpret_cast<uint64_t>(start), bytes);
}

// The block was just allocated with no lock held, and is a sample.
void RecordSample(Context* context, void* block, uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_SAMPLED_BLOCKS_H_
