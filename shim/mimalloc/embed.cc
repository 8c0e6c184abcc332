// mimalloc 2.0.9, embedded: its sources, unchanged, in one unit with seams (seams.h), and the names
// of its static functions (embed.h). The only unit of C++17: before C++20 std::atomic has a trivial
// constructor, so that mimalloc's tables stay zero pages instead of being touched in every process.
//
//   identity   what mimalloc takes for the thread id is the address of our
//              thread context, so that heaps outlive their threads
//   segments   every segment taken from or given back to the system passes
//              NoteSegment, which keeps the map that free() tests
//   memory     heaps of kOverflowArena take their segments from the overflow file; huge
//              segments are mapped where the system wants them
//   cache      free segments pass CacheSegment and UncacheSegment, which count what of them
//              is still in memory
//   pages      every page given back passes ReleasePage, which credits it
//   generic    every allocation a free list cannot serve enters MallocGeneric
//   no keys    mimalloc's own thread-end key and exit handler are never made
#include "shim/mimalloc/embed.h"

#include <errno.h>
#include <sys/mman.h>

#include <new>

#include "accounting/base/debug.h"
#include "shim/base/os.h"
#include "shim/mimalloc/seams.h"
#include "shim/mimalloc/types.h"

static inline mi_threadid_t _mi_thread_id() noexcept { return taskmem::IdOfThreadsContext(); }

namespace taskmem {
namespace {

// mimalloc's own mappings are not the program's.
inline long Answer(long result) {
  if (!os::Failed(result)) return result;
  errno = static_cast<int>(-result);
  return -1;
}
inline void* SystemMmap(void* address, size_t length, int protection, int flags, int fd,
                        long offset) {
  return reinterpret_cast<void*>(
      Answer(os::Call(SYS_mmap, reinterpret_cast<long>(address), static_cast<long>(length),
                      protection, flags, fd, offset)));
}
inline int SystemCall(long number, void* address, size_t length, int argument = 0) {
  return static_cast<int>(Answer(
      os::Call(number, reinterpret_cast<long>(address), static_cast<long>(length), argument)));
}

}  // namespace
}  // namespace taskmem

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wdeprecated"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wstringop-overflow"

// mimalloc's own checks, in the debug library. Its structures stay as they are.
#ifdef TASKMEM_DEBUG
#undef MI_DEBUG
#define MI_DEBUG 2
#undef mi_assert
#undef mi_assert_internal
#define mi_assert(condition) TASKMEM_DCHECK(condition)
#define mi_assert_internal(condition) TASKMEM_DCHECK(condition)
#endif

// In the order of mimalloc's static.c.
// clang-format off
#include "stats.c"
#include "random.c"
// The random source of a heap that may be the constant empty one.
#define _mi_heap_random_next(heap) taskmem::OsRandom()
#define mmap taskmem::SystemMmap
#define munmap(address, length) taskmem::SystemCall(SYS_munmap, address, length)
#define mprotect(address, length, how) taskmem::SystemCall(SYS_mprotect, address, length, how)
#define madvise(address, length, how) taskmem::SystemCall(SYS_madvise, address, length, how)
// Neither how the machine overcommits nor how many memory nodes it has changes anything here: all
// but free segments is committed, and by its own choice.
#define open(path, flags) (-1)
#define access(path, how) (-1)
#include "os.c"
#undef open
#undef access
#undef _mi_heap_random_next
#undef mmap
#undef munmap
#undef mprotect
#undef madvise
// Memory goes back to the system after a while, of which none passes where the program's
// system calls are filtered.
#define _mi_clock_now() (taskmem::os::IsSealed() ? 0 : _mi_clock_now())
#define mi_option_get(option) (mi_option_get(option) | long{taskmem::os::IsSealed()})
#include "bitmap.c"
#include "arena.c"
// Nothing is ever abandoned, so nobody reads it: what stands there is the note that a cached
// segment, `slot`, is given back.
#define _mi_abandoned_await_readers() taskmem::NoteCachedPurged(&slot->decommit_mask)
#include "segment-cache.c"
#undef _mi_abandoned_await_readers
// A segment for pages may have fewer slices than it was to have.
#define _mi_arena_alloc_aligned(...) \
  taskmem::TakeSegmentMemory(required == 0 ? psegment_slices : nullptr, __VA_ARGS__)
#define _mi_arena_free taskmem::ReleaseSegmentMemory
#define _mi_segment_cache_push taskmem::CacheSegment
// Not for a huge segment, even where it has the size of others: it is committed as a whole, and
// cached memory may be waiting to be given back in parts.
#define _mi_segment_cache_pop(...) \
  (required > 0 ? nullptr : taskmem::UncacheSegment(__VA_ARGS__))
#define _mi_segment_map_allocated_at(segment) taskmem::NoteSegment(segment, true)
#define _mi_segment_map_freed_at(segment) taskmem::NoteFreedSegment(segment)
#include "segment.c"
#undef _mi_arena_alloc_aligned
#undef _mi_arena_free
#undef _mi_segment_cache_push
#undef _mi_segment_cache_pop
#undef _mi_segment_map_allocated_at
#undef _mi_segment_map_freed_at
#undef _mi_clock_now
#undef mi_option_get
#define _mi_segment_page_free(page, force, tld) taskmem::ReleasePage(page, force, tld)
#include "page.c"
#include "heap.c"
#undef _mi_segment_page_free
#define _mi_segment_huge_page_free(segment, page, block) \
  taskmem::FreeHugePage(segment, page, block)
#define _mi_malloc_generic(heap, size, zero, alignment) \
  taskmem::MallocGeneric(heap, size, zero, alignment)
// What alloc.c checks of blocks and threads is not so of runs and of contexts that are lent.
#ifdef TASKMEM_DEBUG
#undef MI_DEBUG
#define MI_DEBUG 0
#undef mi_assert
#undef mi_assert_internal
#define mi_assert(condition) ((void)0)
#define mi_assert_internal(condition) ((void)0)
#endif
// mi_new, which nothing here uses, is all that would need a C++ runtime.
namespace std {
inline new_handler NoNewHandler() noexcept { return nullptr; }
}  // namespace std
#define get_new_handler NoNewHandler
#define bad_alloc nothrow_t
#define throw (void)
#define _mi_page_free_collect(page, force) taskmem::CollectFreed(page)
#include "alloc.c"
#undef _mi_page_free_collect
#undef throw
#undef bad_alloc
#undef get_new_handler
#include "alloc-aligned.c"
#undef _mi_malloc_generic
#undef _mi_segment_huge_page_free
// init.c would make its main heap the default of the first thread.
#define _mi_heap_default g_unused_mimalloc_default
#define pthread_key_create(key, destructor) ((void)0)
#define pthread_setspecific(key, value) ((void)0)
#define atexit(handler) ((void)0)
#include "init.c"
#undef _mi_heap_default
#undef pthread_key_create
#undef pthread_setspecific
#undef atexit
// Its environment variables are not ours to obey.
char** g_no_environment = nullptr;
#define environ g_no_environment
#include "options.c"
#undef environ
// clang-format on

#pragma GCC diagnostic pop

// Where malloc looks first: a heap of the thread's (thread, task) pair, or the constant empty heap,
// which has nothing and sends every request to MallocGeneric. Another thread may store the empty
// heap here (shim/contexts/borrow.h).
__attribute__((tls_model("initial-exec"))) __thread mi_heap_t* _mi_heap_default =
    const_cast<mi_heap_t*>(&_mi_heap_empty);

namespace taskmem {

static_assert(kRetireCycles == MI_RETIRE_CYCLES);

void StartMimalloc() {
  _mi_process_is_initialized = true;
  _mi_heap_main.cookie = 1;  // else it would be made to look used, with random numbers
  _mi_os_init();
}

void InitTld(mi_tld_t* tld, mi_heap_t* backing) {
  memcpy(static_cast<void*>(tld), &tld_empty, sizeof(*tld));
  tld->heap_backing = backing;
  tld->heaps = backing;
  tld->segments.stats = &tld->stats;
  tld->segments.os = &tld->os;
  tld->os.stats = &tld->stats;
}

void InitUnownedSegments(mi_segments_tld_t* segments, mi_os_tld_t* os) {
  *os = {0, &_mi_stats_main};
  memcpy(static_cast<void*>(segments), &tld_empty.segments, sizeof(*segments));
  segments->stats = &_mi_stats_main;
  segments->os = os;
}

void CountThread() { mi_atomic_increment_relaxed(&thread_count); }
void UncountThread() { mi_atomic_decrement_relaxed(&thread_count); }

void QueuePage(mi_heap_t* heap, mi_page_queue_t* queue, mi_page_t* page) {
  mi_page_queue_push(heap, queue, page);
}

void UnqueuePage(mi_page_queue_t* queue, mi_page_t* page) { mi_page_queue_remove(queue, page); }

void MoveToFullQueue(mi_page_queue_t* queue, mi_page_t* page) {
  mi_page_queue_enqueue_from(&mi_page_heap(page)->pages[MI_BIN_FULL], queue, page);
}

void SetPageFull(mi_page_queue_t* queue, mi_page_t* page) { mi_page_to_full(page, queue); }

mi_page_queue_t* QueueOf(mi_page_t* page) { return mi_page_queue_of(page); }

void UpdateDirectEntries(mi_heap_t* heap, const mi_page_queue_t* queue) {
  mi_heap_queue_first_update(heap, queue);
}

void AbsorbPages(mi_heap_t* heap, mi_heap_t* from) { mi_heap_absorb(heap, from); }

void CollectFreedByOthers(mi_page_t* page) { _mi_page_thread_free_collect(page); }

void FreeBlockOfPage(mi_page_t* page, mi_block_t* block) { _mi_free_block(page, true, block); }

const mi_slice_t* SlicesEnd(const mi_segment_t* segment) { return mi_segment_slices_end(segment); }

void RemoveSpan(mi_slice_t* span, mi_segments_tld_t* tld) {
  mi_segment_span_remove_from_queue(span, tld);
}

void FreeSpan(mi_segment_t* segment, size_t slice, size_t slices, mi_segments_tld_t* tld) {
  mi_segment_span_free(segment, slice, slices, /*allow_decommit=*/false, tld);
}

void FreeAndJoin(mi_slice_t* slice, mi_segments_tld_t* tld) {
  mi_segment_span_free_coalesce(slice, tld);
}

bool CommitSlices(mi_segment_t* segment, mi_slice_t* first, size_t slices, mi_stats_t* stats) {
  return mi_segment_ensure_committed(segment, mi_slice_start(first), slices * MI_SEGMENT_SLICE_SIZE,
                                     stats);
}

void DecommitFree(mi_segment_t* segment, bool force, mi_stats_t* stats) {
  mi_segment_delayed_decommit(segment, force, stats);
}

void PurgeCachedSegments(bool force) {
  mi_os_tld_t no_context = {0, &_mi_stats_main};
  mi_segment_cache_purge(/*visit_all=*/true, force, &no_context);
}

void* TakeCachedSegment(bool large, mi_commit_mask_t* decommit_mask, size_t* memory_id,
                        bool* is_pinned) {
  mi_os_tld_t no_context = {0, &_mi_stats_main};
  mi_commit_mask_t commit_mask;
  bool is_zero = false;
  *is_pinned = false;
  *memory_id = 0;
  return mi_segment_cache_pop_ex(/*all_suitable=*/true, MI_SEGMENT_SIZE, &commit_mask,
                                 decommit_mask, &large, is_pinned, &is_zero, _mi_arena_id_none(),
                                 memory_id, &no_context);
}

SegmentCachePlace PlaceOfSegmentCache() {
  return {cache, MI_CACHE_MAX, sizeof(mi_cache_slot_t), offsetof(mi_cache_slot_t, p)};
}

}  // namespace taskmem
