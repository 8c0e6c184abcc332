// What the embedded mimalloc calls instead of its own functions (embed.cc says where). Whoever
// answers stands higher in the table of folders; the file is named in brackets.
#ifndef TASKMEM_SHIM_MIMALLOC_SEAMS_H_
#define TASKMEM_SHIM_MIMALLOC_SEAMS_H_

#include "shim/mimalloc/types.h"

namespace taskmem {

// What mimalloc takes for the id of the calling thread: the address of its context.
mi_threadid_t IdOfThreadsContext();

// An allocation that no free list of a page can serve.
void* MallocGeneric(mi_heap_t* heap, size_t size, bool zero, size_t alignment);

// A random number, which need not be secret.
uintptr_t OsRandom();

// The memory of a segment; as _mi_arena_alloc_aligned and _mi_arena_free. `slices`: of a segment
// for pages, which may become less; nullptr: exactly `size` is needed.
void* TakeSegmentMemory(size_t* slices, size_t size, size_t alignment, size_t align_offset,
                        bool* commit, bool* large, bool* is_pinned, bool* is_zero,
                        mi_arena_id_t arena, size_t* memory_id, mi_os_tld_t* tld);
void ReleaseSegmentMemory(void* start, size_t size, size_t alignment, size_t align_offset,
                          size_t memory_id, bool all_committed, mi_stats_t* stats);

// A segment has been taken from the system, or is about to be given back: free() asks for it.
void NoteSegment(const mi_segment_t* segment, bool taken);
// It is about to be given back: of a huge one ReleaseSegmentMemory says so, as its last step, so
// that an audit knows whose it is until then.
void NoteFreedSegment(const mi_segment_t* segment);

// The cache of free segments, as _mi_segment_cache_push and _mi_segment_cache_pop; and what of a
// cached one was given back to the system.
bool CacheSegment(void* start, size_t size, size_t memory_id, const mi_commit_mask_t* commit_mask,
                  const mi_commit_mask_t* decommit_mask, bool is_large, bool is_pinned,
                  mi_os_tld_t* tld);
void* UncacheSegment(size_t size, mi_commit_mask_t* commit_mask, mi_commit_mask_t* decommit_mask,
                     bool* large, bool* is_pinned, bool* is_zero, mi_arena_id_t arena,
                     size_t* memory_id, mi_os_tld_t* tld);
void NoteCachedPurged(const mi_commit_mask_t* decommit_mask);

// A page without blocks in use goes back to its segment: its task is credited.
void ReleasePage(mi_page_t* page, bool force, mi_segments_tld_t* tld);

// A huge block is freed, by any thread.
void FreeHugePage(mi_segment_t* segment, mi_page_t* page, mi_block_t* block);

// Collects what was freed in a page, before a block of it is freed that waited for its thread.
void CollectFreed(mi_page_t* page);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MIMALLOC_SEAMS_H_
