// The allocator: mimalloc with its seams, contexts, pages and their books, and
// the malloc family over them. One unit, because the fast path must be; each
// part is a file that says what it is.
#include "accounting/base/errno_keeper.h"
#include "shim/list_by_place.h"
#include "shim/mimalloc_embed.h"
//
#include <errno.h>
#include <sys/platform/x86.h>
#include <sys/uio.h>

#include <cstdlib>
#include <cstring>

#include "accounting/base/fork_locks.h"
#include "accounting/base/format_text.h"
#include "accounting/base/size_text.h"
#include "shim/after_fork.h"
#include "shim/borrow.h"
#include "shim/charge.h"
#include "shim/context.h"
#include "shim/contexts_of.h"
#include "shim/debug.h"
#include "shim/fast_path.h"
#include "shim/fold.h"
#include "shim/heap.h"
#include "shim/log.h"
#include "shim/mapping_limit.h"
#include "shim/maps_file.h"
#include "shim/message.h"
#include "shim/os.h"
#include "shim/overflow_book.h"
#include "shim/own_memory.h"
#include "shim/own_ranges.h"
#include "shim/page_map.h"
#include "shim/runs.h"
#include "shim/shared_page.h"
#include "shim/sites.h"
#include "shim/slack.h"
#include "shim/thread_stacks.h"
#include "shim/upcalls.h"
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
void* AllocateAtLimit(Context* context, size_t size, bool zero, size_t huge_alignment);
void* AllocateIfLetThrough(Context* context, size_t size);
}  // namespace

void* MapHugeSegment(size_t bytes, size_t alignment, size_t align_offset);
void UnmapHugeSegment(void* start, size_t bytes);

uint32_t g_segment_map[kSegments];

void NoteSegment(const mi_segment_t* segment, bool taken) {
  const uintptr_t index = reinterpret_cast<uintptr_t>(segment) >> kSegmentShift;
  if (index < kSegments) g_segment_map[index] = taken ? kNobody : 0;
}

void* TakeSegmentMemory(size_t size, size_t alignment, size_t align_offset, bool* commit,
                        bool* large, bool* is_pinned, bool* is_zero, mi_arena_id_t arena,
                        size_t* memory_id, mi_os_tld_t* tld) {
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
  return TakeOverflowSegment(size, alignment, align_offset);
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
#include "shim/shared_page.inc"
#include "shim/sites.inc"
#include "shim/lease.inc"
#include "shim/page_alloc.inc"
#include "shim/runs.inc"
#include "shim/context.inc"
#include "shim/purge.inc"
#include "shim/held_pages.inc"
#include "shim/collect.inc"
#include "shim/overflow_heap.inc"
#include "shim/extend_page.inc"
#include "shim/huge_segment.inc"
#include "shim/grow.inc"
#include "shim/aligned.inc"
#include "shim/slow_path.inc"
#include "shim/decay.inc"
#include "shim/limit.inc"
#include "shim/mapping_limit.inc"
#include "shim/realloc.inc"
#include "shim/malloc.inc"
#include "shim/thread_stacks.inc"
#include "shim/hook_thread.inc"
#include "shim/walk.inc"
#include "shim/after_fork.inc"
#include "shim/audit_layout.inc"
#include "shim/exports.inc"
// clang-format on
