// The fast path: what malloc and free cost when a free list can serve them.
//
//   malloc   size class, heap, page, pop             no accounting, no call
//   free     is it ours, is it mine, page, push      no accounting, no call
//
// tests/fast_path_test counts the instructions. Everything in the section
// taskmem_fast changes a heap without saying so in ThreadState::busy; a borrower
// of the context looks for its addresses on the sleeping thread's stack
// (collect/collect.cc). So nothing here may be inlined into code outside the section,
// and slow functions are called last, by jumps.
#ifndef TASKMEM_SHIM_MALLOC_FAST_PATH_H_
#define TASKMEM_SHIM_MALLOC_FAST_PATH_H_

#include "accounting/base/debug.h"
#include "shim/books/page_map.h"
#include "shim/contexts/context.h"
#include "shim/contexts/runs.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/shared_page.h"
#include "shim/segments/segment_map.h"
#include "shim/sites/sites.h"

#define TASKMEM_FAST __attribute__((section("taskmem_fast"), noinline, visibility("hidden")))

namespace taskmem {

// A block of a small size from a free list, or nullptr.
__attribute__((always_inline)) inline void* PopSmall(size_t size) {
  if (__builtin_expect(size > MI_SMALL_SIZE_MAX, 0)) return nullptr;
  mi_page_t* page = _mi_heap_default->pages_free_direct[(size + 7) / 8];
  mi_block_t* block = page->free;
  if (__builtin_expect(block == nullptr, 0)) return nullptr;
  TASKMEM_DCHECK(!t_thread.context->is_lent);
  page->free = reinterpret_cast<mi_block_t*>(block->next);
  ++page->used;
  return block;
}

// A block of a medium size from the first page of its class that the pair has, or nullptr. What was
// freed there serves at once where no other task has a part in the page. A handler that interrupted
// the allocator is left to it.
__attribute__((always_inline)) inline void* PopMedium(size_t size) {
  if (__builtin_expect(size > MI_MEDIUM_OBJ_SIZE_MAX, 0)) return nullptr;
  ThreadState& t = t_thread;
  const Pair* const pair = t.pair;
  mi_heap_t* const heap = _mi_heap_default;
  if (__builtin_expect(pair == nullptr || heap != pair->heap || t.busy || !t.streak.IsEmpty(), 0)) {
    return nullptr;
  }
  const uint32_t bin = MediumBin(size);
  TASKMEM_DCHECK(bin == _mi_bin(size));
  mi_page_t* const page = heap->pages[bin].first;
  if (__builtin_expect(page == nullptr, 0)) return nullptr;
  mi_block_t* block = page->free;
  if (block == nullptr && (page->local_free == nullptr || IsShared(page))) return nullptr;
  if (__builtin_expect(g_sites_on, 1) &&
      __builtin_expect(t.context->clock.Count(page->xblock_size), 0)) {
    return nullptr;
  }
  TASKMEM_DCHECK(!t.context->is_lent);
  if (block == nullptr) {
    // By one instruction: a handler may free.
    block = __atomic_exchange_n(&page->local_free, nullptr, __ATOMIC_RELAXED);
    if (__builtin_expect(block == nullptr, 0)) return nullptr;
    page->is_zero = false;
  }
  page->free = reinterpret_cast<mi_block_t*>(block->next);
  ++page->used;
  return block;
}

// The slice of the address space in which `block` lies; of an address that is no program's, one
// of any other.
__attribute__((always_inline)) inline uint32_t SliceNumber(const void* block) {
  constexpr int kUnused = 64 - PageMap::kAddressBits;
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(block) << kUnused >>
                               (kUnused + MI_SEGMENT_SLICE_SHIFT));
}

// Whether the slice lies in a segment of this thread's context.
__attribute__((always_inline)) inline bool IsLocal(uint32_t slice) {
  return g_segment_map[slice >> (kSegmentShift - MI_SEGMENT_SLICE_SHIFT)] ==
         t_thread.id.load(std::memory_order_relaxed);
}

// The page of a block in such a segment.
__attribute__((always_inline)) inline mi_page_t* PageOf(void* block, uint32_t slice) {
  mi_segment_t* const segment = SegmentOfWindow(block);
  slice &= MI_SLICES_PER_SEGMENT - 1;
  return reinterpret_cast<mi_page_t*>(reinterpret_cast<char*>(segment) +
                                      PageTableOf(segment)[slice]);
}

// Pushes a block of this thread's context on its page's free list. False, with
// nothing done: the page wants attention.
__attribute__((always_inline)) inline bool Push(mi_page_t* page, void* block) {
  TASKMEM_DCHECK(!t_thread.context->is_lent);
  auto* const freed = static_cast<mi_block_t*>(block);
  uint32_t left = page->used;
  // One instruction counts and compares: at most one block is left.
  __asm__ goto("sub $1, %0\n\tjbe %l[last]" : "+r"(left) : : "cc" : last);
push:
  freed->next = reinterpret_cast<mi_encoded_t>(page->local_free);
  page->local_free = freed;
  page->used = left;
  return true;
last:
  // None: it was freed before. One: a page that is retired already, the only one of its class,
  // stays so for another while.
  if (left != 0 || page->retire_expire == 0) return false;
  page->retire_expire = kRetireCycles;
  goto push;
}

__attribute__((always_inline)) inline bool PushLocal(mi_page_t* page, void* block) {
  // Full, aligned or shared.
  return __builtin_expect(page->flags.full_aligned == 0, 1) && Push(page, block);
}

// A block in a shared page of this thread's context: of its lessee, or of a pair of the context,
// into whose run it goes. False, with nothing done: it is neither, or the page or run wants
// attention.
__attribute__((always_inline)) inline bool PushShared(mi_page_t* page, void* block) {
  constexpr uint8_t kHasAligned = 2;
  PageOwners* const owners = OwnersOf(page);
  const uint32_t mark = owners->MarkAt(block).load(std::memory_order_relaxed);
  if (__builtin_expect(mark == kLesseeMark, 1)) {
    if (__builtin_expect(page->flags.full_aligned != kSharedFlag, 0)) return false;
    return Push(page, block);
  }
  // This thread's: its segment says so, whatever others store into ThreadState meanwhile, and
  // whatever context a handler works with for a while.
  const auto* context = reinterpret_cast<const Context*>(
      SegmentOfWindow(block)->thread_id.load(std::memory_order_relaxed));
  Runs* const runs = context->runs.Find(mark);
  if (__builtin_expect(runs == nullptr, 0)) return false;
  if (__builtin_expect(mark != runs->mark, 0) ||
      __builtin_expect(owners->samples.load(std::memory_order_relaxed) != 0, 0) ||
      __builtin_expect((page->flags.full_aligned & kHasAligned) != 0, 0)) {
    return false;
  }
  mi_page_t* run = &runs->run[owners->run];
  if (__builtin_expect(BlocksIn(*run) >= run->reserved, 0)) return false;
  TASKMEM_DCHECK(!t_thread.context->is_lent);
  auto* freed = static_cast<mi_block_t*>(block);
  freed->next = reinterpret_cast<mi_encoded_t>(run->local_free);
  run->local_free = freed;
  --run->used;
  return true;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_FAST_PATH_H_
