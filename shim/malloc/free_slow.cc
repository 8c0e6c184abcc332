#include "shim/malloc/free_slow.h"

#include "accounting/base/debug.h"
#include "shim/contexts/borrow.h"
#include "shim/heap/upcalls.h"
#include "shim/malloc/realloc.h"
#include "shim/mimalloc/embed.h"
#include "shim/pages/run_blocks.h"
#include "shim/pages/shared_page.h"
#include "shim/segments/segment_map.h"

namespace taskmem {

namespace {

// A block of a shared page: its owner is credited first.
__attribute__((noinline)) void FreeShared(mi_segment_t* segment, mi_page_t* page, void* block,
                                          bool local) {
  const void* start =
      mi_page_has_aligned(page) ? _mi_page_ptr_unalign(segment, page, block) : block;
  if (local) MakeRoomInRun(page, start);
  if (!ClearOwner(page, start)) return ReportDoubleFree(block);
  if (local) OwnersOf(page)->unsettled = true;
  _mi_free_generic(segment, page, local, block);
}

// A page with a live block counts it: one that counts none has none.
bool HoldsBlocks(const mi_page_t* page, const void* block) {
  if (__builtin_expect(page->used != 0, 1)) return true;
  ReportDoubleFree(block);
  return false;
}

// Whether the block is of this thread's context is decided inside: before that its context may
// come to be lent. Where somebody collects it, or the thread is in a handler that interrupted
// a change of it, the block is freed as any other thread's.
__attribute__((noinline)) void FreeInside(mi_segment_t* segment, mi_page_t* page, void* block) {
  TASKMEM_DELAY_POINT(free_slow);
  const InsideAllocator inside(InsideAllocator::kTryContext);
  const bool has_context = inside.HasContext();
  const bool local = has_context && segment->thread_id.load(std::memory_order_relaxed) ==
                                        reinterpret_cast<uintptr_t>(t_thread.context);
  if (IsShared(page)) {
    FreeShared(segment, page, block, local);
  } else if (local && page->used == 1 && HasPageForItself(segment, page)) {
    // Its memory is not touched for a free list that nobody will use.
    page->used = 0;
    _mi_page_free(page, QueueOf(page), /*force=*/false);
  } else {
    _mi_free_generic(segment, page, local, block);
  }
}

__attribute__((noinline)) void FreeRemote(mi_segment_t* segment, void* block) {
  mi_page_t* page = _mi_segment_page_of(segment, block);
  if (!HoldsBlocks(page, block)) return;
  if (!IsShared(page) && segment->thread_id.load(std::memory_order_relaxed) !=
                             reinterpret_cast<uintptr_t>(t_thread.context)) {
    return _mi_free_generic(segment, page, false, block);
  }
  FreeInside(segment, page, block);
}

}  // namespace

__attribute__((noinline)) void FreeElsewhere(void* block) {
  if (block == nullptr) return;
  if (InWindow(block)) return FreeRemote(SegmentOfWindow(block), block);
  if (InSegment(block)) return FreeRemote(_mi_ptr_segment(block), block);
  ForeignFree(block);
}

__attribute__((noinline)) void FreeLocalSlow(void* block, mi_page_t* page) {
  if (!HoldsBlocks(page, block)) return;
  FreeInside(_mi_ptr_segment(block), page, block);
}

}  // namespace taskmem
