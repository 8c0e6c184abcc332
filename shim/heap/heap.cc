// The allocator: mimalloc with its seams, contexts, pages and their books, and
// the malloc family over them. One unit, because the fast path must be; each
// part is a file that says what it is.
#include "shim/heap/heap.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/platform/x86.h>
#include <sys/uio.h>

#include <cstdlib>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/fork_locks.h"
#include "accounting/base/format_text.h"
#include "accounting/base/size_text.h"
#include "shim/base/debug.h"
#include "shim/base/maps_file.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/own_ranges.h"
#include "shim/base/small_space.h"
#include "shim/books/after_fork.h"
#include "shim/books/fold.h"
#include "shim/books/overflow_book.h"
#include "shim/books/own_memory.h"
#include "shim/books/page_map.h"
#include "shim/books/slack.h"
#include "shim/books/task_text.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/contexts/contexts_of.h"
#include "shim/contexts/list_by_place.h"
#include "shim/contexts/pairs.h"
#include "shim/contexts/pthread_stacks.h"
#include "shim/contexts/registry.h"
#include "shim/contexts/runs.h"
#include "shim/heap/fast_path.h"
#include "shim/heap/upcalls.h"
#include "shim/limit/mapping_limit.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/mimalloc/seams.h"
#include "shim/options/log.h"
#include "shim/pages/shared_page.h"
#include "shim/sites/sites.h"
#include "spill/reclaim/line_rate.h"
#include "spill/reclaim/reclaim.h"

namespace taskmem {

void CollectContext(Context* context, bool force);
// Gives all blocks in the pair's runs back to their pages; and the runs themselves up.
void EmptyRuns(Pair* pair);
void CloseRuns(Context* context, Pair* pair);
// Of contexts that may have something for the slot's task (ContextsOf): those that no thread
// has, and those whose threads sleep. Return how many were looked at. Inside the allocator.
uint32_t CollectParked(uint32_t slot);
uint32_t CollectSleepers(uint32_t slot);
void CollectOrphan();

namespace {
mi_page_t* TakePageMemory(mi_heap_t* heap, size_t bytes, size_t huge_alignment);
void GivePageMemory(mi_page_t* page, bool force, mi_segments_tld_t* tld);
bool HoldPage(mi_page_t* page);
mi_page_t* TakeHeldPage(Context* context, size_t bytes);
void LetHeldPagesGo(Context* context);
void ReleaseHeldPages(Context* context);
bool HoldSmallPage(mi_page_t* page, uint64_t used_bytes);
uint32_t HeldSmallBytes(const Context* context);
bool HoldsSmallPage(const mi_heap_t* heap, size_t block_size);
mi_page_t* TakeSmallPageMemory(mi_heap_t* heap, size_t block_size);
void PurgeContext(Context* context, bool force);
void PurgeOwnIfDue(Context* context);
bool g_counts_fast = false;
void LookAtProcessor();
void* AllocateAtLimit(Context* context, size_t size, bool zero, size_t alignment);
void* AllocateIfLetThrough(Context* context, size_t size);
}  // namespace

void* MapHugeSegment(size_t bytes, size_t alignment, size_t align_offset);
void UnmapHugeSegment(void* start, size_t bytes);

uint32_t g_segment_map[kSegments];

void NoteSegment(const mi_segment_t* segment, bool taken) {
  const uintptr_t index = reinterpret_cast<uintptr_t>(segment) >> kSegmentShift;
  if (index < kSegments) g_segment_map[index] = taken ? kNobody : 0;
}

namespace {
OverflowHeaps* HeapsOf(mi_os_tld_t* tld) {
  return reinterpret_cast<OverflowHeaps*>(reinterpret_cast<char*>(tld) - offsetof(mi_tld_t, os));
}
}  // namespace

void* TakeSegmentMemory(size_t* slices, size_t size, size_t alignment, size_t align_offset,
                        bool* commit, bool* large, bool* is_pinned, bool* is_zero,
                        mi_arena_id_t arena, size_t* memory_id, mi_os_tld_t* tld) {
  if (__builtin_expect(arena != kOverflowArena, 1)) {
    // Ordinary segments are kept for later; no other is as large as they are, unless by chance.
    void* start = size != MI_SEGMENT_SIZE || align_offset != 0
                      ? MapHugeSegment(size, alignment, align_offset)
                      : nullptr;
    if (start != nullptr) {
      *commit = *is_zero = true;
      *large = *is_pinned = false;
      *memory_id = kHugeMemory;
      return start;
    }
    return _mi_arena_alloc_aligned(size, alignment, align_offset, commit, large, is_pinned, is_zero,
                                   arena, memory_id, tld);
  }
  // Pinned: mimalloc does not decommit it.
  *commit = *is_pinned = *is_zero = true;
  *large = false;
  *memory_id = kOverflowMemory;
  if (slices == nullptr) return TakeOverflowSegment(size, alignment, align_offset);
  void* const start = TakeOverflowSegment(&size, HeapsOf(tld)->wanted_bytes, alignment);
  *slices = size / MI_SEGMENT_SLICE_SIZE;
  return start;
}

void ReleaseSegmentMemory(void* start, size_t size, size_t alignment, size_t align_offset,
                          size_t memory_id, bool all_committed, mi_stats_t* stats) {
  if (__builtin_expect(memory_id == kOverflowMemory, 0)) {
    return ReleaseOverflowSegment(start, size);
  }
  if (memory_id == kHugeMemory) return UnmapHugeSegment(start, size);
  PageMap::Forget(start);
  _mi_arena_free(start, size, alignment, align_offset, memory_id, all_committed, stats);
}

}  // namespace taskmem

// In this order: each file uses those above it.
// clang-format off
#include "shim/pages/shared_page.inc"
#include "shim/pages/sampled_blocks.inc"
#include "shim/pages/lease.inc"
#include "shim/pages/page_alloc.inc"
#include "shim/contexts/runs.inc"
#include "shim/contexts/context.inc"
#include "shim/pages/purge.inc"
#include "shim/pages/held_pages.inc"
#include "shim/contexts/collect.inc"
#include "shim/limit/overflow_heap.inc"
#include "shim/pages/extend_page.inc"
#include "shim/pages/huge_segment.inc"
#include "shim/pages/grow.inc"
#include "shim/heap/aligned.inc"
#include "shim/heap/slow_path.inc"
#include "shim/pages/decay.inc"
#include "shim/limit/at_limit.inc"
#include "shim/limit/limit.inc"
#include "shim/limit/mapping_limit.inc"
#include "shim/heap/realloc.inc"
#include "shim/heap/malloc.inc"
#include "shim/contexts/pthread_stacks.inc"
#include "shim/contexts/hook_scope.inc"
#include "shim/contexts/walk.inc"
#include "shim/contexts/after_fork.inc"
#include "shim/contexts/publish_layout.inc"
#include "shim/heap/exports.inc"
// clang-format on
