// mimalloc 2.0.9, embedded: its sources, unchanged, in one unit with seams.
// Included once, by heap.cc, before everything that reaches into it.
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
#ifndef TASKMEM_SHIM_CONTEXTS_MIMALLOC_EMBED_H_
#define TASKMEM_SHIM_CONTEXTS_MIMALLOC_EMBED_H_

// A huge block is freed at once by whichever thread frees it.
#define MI_HUGE_PAGE_ABANDON 1
#define MI_DEBUG 0

#include <errno.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "shim/base/debug.h"
#include "shim/base/os.h"

// clang-format off
#include "mimalloc.h"

#define _mi_thread_id UnusedMimallocThreadId
#include "mimalloc-internal.h"
#undef _mi_thread_id
// clang-format on

// How many slices of a page behind its first lead back to it. All must of which blocks begin
// there: of medium pages. Those of a block that is aligned within a large page are set by
// AlignWithin (aligned.inc).
#undef MI_MAX_SLICE_OFFSET
#define MI_MAX_SLICE_OFFSET (MI_MEDIUM_PAGE_SIZE / MI_SEGMENT_SLICE_SIZE - 1)

static inline mi_threadid_t _mi_thread_id() noexcept;

namespace taskmem {
// An arena and a memory id of no arena of mimalloc's own; a heap of the one is served by
// memory of the other alone, and ordinary heaps by none of it.
inline constexpr mi_arena_id_t kOverflowArena = 0x7f;
inline constexpr size_t kOverflowMemory = 0xff;
// The memory id of a mapping that is a huge segment and nothing else.
inline constexpr size_t kHugeMemory = 0x7e;
void* TakeSegmentMemory(size_t size, size_t alignment, size_t align_offset, bool* commit,
                        bool* large, bool* is_pinned, bool* is_zero, mi_arena_id_t arena,
                        size_t* memory_id, mi_os_tld_t* tld);
void ReleaseSegmentMemory(void* start, size_t size, size_t alignment, size_t align_offset,
                          size_t memory_id, bool all_committed, mi_stats_t* stats);
void NoteSegment(const mi_segment_t* segment, bool taken);
void ReleasePage(mi_page_t* page, bool force, mi_segments_tld_t* tld);
void FreeHugePage(mi_segment_t* segment, mi_page_t* page, mi_block_t* block);
void* MallocGeneric(mi_heap_t* heap, size_t size, bool zero, size_t alignment);
uintptr_t OsRandom();
// What was freed in a page, before a block of it is freed that waited for its thread.
void CollectFreed(mi_page_t* page);
// The cache of free segments, which knows what of them is slack (purge.inc).
bool CacheSegment(void* start, size_t size, size_t memory_id, const mi_commit_mask_t* commit_mask,
                  const mi_commit_mask_t* decommit_mask, bool is_large, bool is_pinned,
                  mi_os_tld_t* tld);
void* UncacheSegment(size_t size, mi_commit_mask_t* commit_mask, mi_commit_mask_t* decommit_mask,
                     bool* large, bool* is_pinned, bool* is_zero, mi_arena_id_t arena,
                     size_t* memory_id, mi_os_tld_t* tld);
void NoteCachedPurged(const mi_commit_mask_t* decommit_mask);

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
#define _mi_arena_alloc_aligned taskmem::TakeSegmentMemory
#define _mi_arena_free taskmem::ReleaseSegmentMemory
#define _mi_segment_cache_push taskmem::CacheSegment
// Not for a huge segment, even where it has the size of others: it is committed as a whole, and
// cached memory may be waiting to be given back in parts.
#define _mi_segment_cache_pop(...) \
  (required > 0 ? nullptr : taskmem::UncacheSegment(__VA_ARGS__))
#define _mi_segment_map_allocated_at(segment) taskmem::NoteSegment(segment, true)
#define _mi_segment_map_freed_at(segment) taskmem::NoteSegment(segment, false)
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

// Where malloc looks first: a heap of the thread's (thread, task) pair, or the
// constant empty heap, which has nothing and sends every request to MallocGeneric.
// Another thread may store the empty heap here (context.h).
__attribute__((tls_model("initial-exec"))) __thread mi_heap_t* _mi_heap_default =
    const_cast<mi_heap_t*>(&_mi_heap_empty);

#endif  // TASKMEM_SHIM_CONTEXTS_MIMALLOC_EMBED_H_
