// mimalloc 2.0.9 as its own headers declare it: its structures, their inline accessors, and the
// functions of its sources that are not static. The sources themselves are compiled once, by
// embed.cc; the static functions that others need have names in embed.h.
#ifndef TASKMEM_SHIM_MIMALLOC_TYPES_H_
#define TASKMEM_SHIM_MIMALLOC_TYPES_H_

// A huge block is freed at once by whichever thread frees it.
#define MI_HUGE_PAGE_ABANDON 1
#define MI_DEBUG 0

// All that mimalloc's headers include: what comes behind the pragma is hidden.
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

// clang-format off
#include "mimalloc.h"

// embed.cc has another one: of contexts, not of threads.
#define _mi_thread_id UnusedMimallocThreadId
#pragma GCC visibility push(hidden)
#include "mimalloc-internal.h"
#pragma GCC visibility pop
#undef _mi_thread_id
// clang-format on

// How many slices of a page behind its first lead back to it. All must of which blocks begin
// there: of medium pages. That of a block that is aligned within a large page is set by AlignWithin
// (shim/malloc/aligned.h).
#undef MI_MAX_SLICE_OFFSET
#define MI_MAX_SLICE_OFFSET (MI_MEDIUM_PAGE_SIZE / MI_SEGMENT_SLICE_SIZE - 1)

namespace taskmem {

// An arena and a memory id of no arena of mimalloc's own; a heap of the one is served by
// memory of the other alone, and ordinary heaps by none of it.
inline constexpr mi_arena_id_t kOverflowArena = 0x7f;
inline constexpr size_t kOverflowMemory = 0xff;
// The memory id of a mapping that is a huge segment and nothing else.
inline constexpr size_t kHugeMemory = 0x7e;

inline constexpr size_t kSliceBytes = MI_SEGMENT_SLICE_SIZE;

// How often a retired page is passed before it is given back.
inline constexpr uint8_t kRetireCycles = 8;

// A heap without pages: constant, every look into it finds nothing.
inline mi_heap_t* EmptyHeap() { return const_cast<mi_heap_t*>(&_mi_heap_empty); }

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MIMALLOC_TYPES_H_
