// Names for static functions and data of mimalloc's sources that the rest of the allocator needs.
// Whoever calls them has the context that the page, heap or segment belongs to.
#ifndef TASKMEM_SHIM_MIMALLOC_EMBED_H_
#define TASKMEM_SHIM_MIMALLOC_EMBED_H_

#include "shim/mimalloc/types.h"

namespace taskmem {

// --- The start.

// What of mimalloc's own start is wanted; the rest would make and use a default heap.
void StartMimalloc();

// A tld whose segments nobody has yet, and whose first heap is `backing`.
void InitTld(mi_tld_t* tld, mi_heap_t* backing);

// The same without a heap, for segments that belong to no context; it counts into mimalloc's own
// statistics. `os` must live as long.
void InitUnownedSegments(mi_segments_tld_t* segments, mi_os_tld_t* os);

// mimalloc's number of threads, by which it decides how long it waits for locks: one more or less.
void CountThread();
void UncountThread();

// --- Pages in the queues of a heap.

// Puts a page of the heap first in the queue.
void QueuePage(mi_heap_t* heap, mi_page_queue_t* queue, mi_page_t* page);
// Takes a page out of its queue.
void UnqueuePage(mi_page_queue_t* queue, mi_page_t* page);
// Moves a page from its queue to the heap's queue of full ones.
void MoveToFullQueue(mi_page_queue_t* queue, mi_page_t* page);
// The same for a page that is full, with what mimalloc does then: it is collected once more.
void SetPageFull(mi_page_queue_t* queue, mi_page_t* page);
// The queue that a page is in.
mi_page_queue_t* QueueOf(mi_page_t* page);
// The heap's direct entries for the sizes of the queue's class lead to its first page from here on.
void UpdateDirectEntries(mi_heap_t* heap, const mi_page_queue_t* queue);
// All pages of `from` are the heap's from here on.
void AbsorbPages(mi_heap_t* heap, mi_heap_t* from);
// Collects what other threads have freed in the page.
void CollectFreedByOthers(mi_page_t* page);
// A block of the page, free from here on, goes on its free list; the page may be retired by it.
void FreeBlockOfPage(mi_page_t* page, mi_block_t* block);

// --- Slices and spans of a segment.

// Behind the last slice.
const mi_slice_t* SlicesEnd(const mi_segment_t* segment);
// Takes a free span out of the queue that it is in.
void RemoveSpan(mi_slice_t* span, mi_segments_tld_t* tld);
// So many slices from the one with that number on are a free span, in its queue.
void FreeSpan(mi_segment_t* segment, size_t slice, size_t slices, mi_segments_tld_t* tld);
// The slices of `slice` are free, together with what is free on both sides of them.
void FreeAndJoin(mi_slice_t* slice, mi_segments_tld_t* tld);
// Sees to it that these slices are in use as memory. False: the system has none.
bool CommitSlices(mi_segment_t* segment, mi_slice_t* first, size_t slices, mi_stats_t* stats);
// Gives free memory of the segment back whose time has come, or all of it.
void DecommitFree(mi_segment_t* segment, bool force, mi_stats_t* stats);

// --- The cache of free segments.

// Gives memory of cached segments back whose time has come, or all of it.
void PurgeCachedSegments(bool force);
// A segment of the cache, of large system pages or of ordinary ones; nullptr: there is none.
// *memory_id and *is_pinned as _mi_arena_free wants them.
void* TakeCachedSegment(bool large, mi_commit_mask_t* decommit_mask, size_t* memory_id,
                        bool* is_pinned);
// Where the cache is, for readers in other processes.
struct SegmentCachePlace {
  const void* slots;
  size_t count;
  size_t slot_bytes;
  size_t pointer_at;  // in a slot
};
SegmentCachePlace PlaceOfSegmentCache();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MIMALLOC_EMBED_H_
