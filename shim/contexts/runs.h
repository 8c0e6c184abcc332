// Runs: free blocks of shared pages that a pair has taken ahead, one list for each small size
// class. They are marked as the task's and charged to it like blocks in use, so that malloc's
// fast path can hand them out and free can take them back without a change of the books.
//
//   a page's free blocks --Refill: charged, marked--> a run --malloc--> in use
//                        <--EmptyRuns: credited-----        <--free---
//
// What the runs of a context hold is bounded: when enough has been put into them, those of all
// pairs but the current one are emptied.
//
// A run looks like a page of a pair's own to malloc, which finds it through its heap's direct
// entries, and to the sampling of sites. Its blocks count as used in the pages they lie in. Whoever
// may change the pair's heaps may change its runs (borrow.h).
#ifndef TASKMEM_SHIM_CONTEXTS_RUNS_H_
#define TASKMEM_SHIM_CONTEXTS_RUNS_H_

#include <cstddef>
#include <cstdint>

#include "shim/mimalloc/types.h"

namespace taskmem {

// Size classes that have runs: blocks of up to 4 KiB. What larger ones would save is little
// beside what they would hold.
inline constexpr int kRunBins = 33;

struct Runs {
  // Like the head of a mi_heap_t, so that malloc can look here first while the pair has no
  // pages of its own. Each entry leads to the run of its class, for good.
  mi_tld_t* no_tld;
  mi_page_t* direct[MI_PAGES_DIRECT];

  uint32_t mark;  // of the pair's blocks in owner arrays
  // Among those of the context that were filled lately; nullptr: it is not (RunsTable).
  Runs** place_filled;
  Runs* next_filled;
  struct Pair* pair;
  uint64_t filled;  // a bit for each size class whose run may have blocks; others take none
  // `free` and `local_free` are the run, `capacity` - `used` the number of blocks in it,
  // `reserved` as many as free leaves there. The last, of classes without a run, stays empty.
  mi_page_t run[kRunBins + 1];
  uint16_t taken[kRunBins];  // blocks, since it was emptied, by size class; saturates
};
static_assert(sizeof(Runs) <= 4096);
static_assert(offsetof(Runs, direct) == offsetof(mi_heap_t, pages_free_direct));

// The runs of a context's pairs, found by mark: a block may be freed while its thread works for
// another task. Two marks may want the same place: then the one that was filled last has it.
struct RunsTable {
  static constexpr uint32_t kFew = 8;

  Runs** places;  // a power of two
  uint32_t mask;
  uint32_t count;         // of pairs with runs
  Runs* filled;           // since all were emptied last
  uint64_t filled_bytes;  // into these
  Runs* few[kFew];

  Runs* Find(uint32_t mark) const { return places[mark & mask]; }
};

inline int32_t BlocksIn(const mi_page_t& run) {
  return static_cast<int32_t>(run.capacity - run.used);
}

inline mi_heap_t* AsFront(Runs* runs) { return reinterpret_cast<mi_heap_t*>(runs); }

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_RUNS_H_
