// The fast path: what malloc and free cost when a free list can serve them.
//
//   malloc   size class, heap, page, pop             no accounting, no call
//   free     is it ours, is it mine, page, push      no accounting, no call
//
// tests/fast_path_test counts the instructions. Everything in the section
// taskmem_fast changes a heap without saying so in ThreadState::busy; a borrower
// of the context looks for its addresses on the sleeping thread's stack
// (collect.inc). So nothing here may be inlined into code outside the section,
// and slow functions are called last, by jumps.
#ifndef TASKMEM_SHIM_FAST_PATH_H_
#define TASKMEM_SHIM_FAST_PATH_H_

#include "shim/context.h"
#include "shim/debug.h"
#include "shim/page_map.h"
#include "shim/runs.h"
#include "shim/shared_page.h"

#define TASKMEM_FAST __attribute__((section("taskmem_fast"), noinline, visibility("hidden")))

namespace taskmem {

// One byte for each 32 MiB of address space: 1 where a segment of ours begins.
inline constexpr int kSegmentShift = MI_SEGMENT_SHIFT;
static_assert(kSegmentShift == PageMap::kWindowShift);
inline constexpr size_t kSegments = size_t{1} << (PageMap::kAddressBits - kSegmentShift);
extern uint8_t g_segment_map[kSegments];

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

// Where `block` lies in a window in which a segment of ours begins. NULL does not.
__attribute__((always_inline)) inline bool InWindow(const void* block) {
  const uintptr_t index = reinterpret_cast<uintptr_t>(block) >> kSegmentShift;
  return index < kSegments && g_segment_map[index] != 0;
}

// Where it may point to memory of ours: also to a block that begins where a segment ends, a huge
// one, aligned by more than a segment. free() asks the first question first, which costs less.
__attribute__((always_inline)) inline bool InSegment(const void* block) {
  return InWindow(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(block) - 1));
}

__attribute__((always_inline)) inline mi_segment_t* SegmentOfWindow(const void* block) {
  return reinterpret_cast<mi_segment_t*>(reinterpret_cast<uintptr_t>(block) &
                                         ~uintptr_t{MI_SEGMENT_MASK});
}

// _mi_segment_page_of, in the order that takes fewest instructions.
__attribute__((always_inline)) inline mi_page_t* PageOf(mi_segment_t* segment, const void* block) {
  const size_t index =
      (reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(segment)) >>
      MI_SEGMENT_SLICE_SHIFT;
  char* slice = reinterpret_cast<char*>(segment) + index * sizeof(mi_slice_t);
  __asm__("" : "+r"(slice));
  slice -= *reinterpret_cast<const uint32_t*>(slice + offsetof(mi_segment_t, slices) +
                                              offsetof(mi_slice_t, slice_offset));
  __asm__("" : "+r"(slice));
  return reinterpret_cast<mi_page_t*>(slice + offsetof(mi_segment_t, slices));
}

__attribute__((always_inline)) inline bool IsLocal(const mi_segment_t* segment) {
  return segment->thread_id.load(std::memory_order_relaxed) ==
         t_thread.id.load(std::memory_order_relaxed);
}

// Pushes a block of this thread's context on its page's free list. False, with
// nothing done: the page wants attention.
__attribute__((always_inline)) inline bool Push(mi_page_t* page, void* block) {
  TASKMEM_DCHECK(!t_thread.context->is_lent);
  const uint32_t used = page->used;
  if (__builtin_expect(used <= 1, 0)) {
    // 0: freed before. 1: the last block; a page that is retired already, the only
    // one of its class, stays so for another while.
    if (used == 0 || page->retire_expire == 0) return false;
    page->retire_expire = MI_RETIRE_CYCLES;
  }
  auto* freed = static_cast<mi_block_t*>(block);
  freed->next = reinterpret_cast<mi_encoded_t>(page->local_free);
  page->local_free = freed;
  page->used = used - 1;
  return true;
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

#endif  // TASKMEM_SHIM_FAST_PATH_H_
