#include "shim/malloc/realloc.h"

#include <cstdint>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "shim/books/overflow_book.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/context.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/large/grow.h"
#include "shim/limit/overflow_heap.h"
#include "shim/limit/request_limit.h"
#include "shim/malloc/slow_path.h"
#include "shim/pages/sampled_blocks.h"

namespace taskmem {

namespace {

// The block that realloc allocates anew has room to grow, so that few of them are copied.
void* AllocateGrowing(size_t size) {
  t_thread.gives_room = true;
  void* const block = TaskmemMalloc(size);
  t_thread.gives_room = false;
  return block;
}

}  // namespace

void* MoveLarger(void* block, size_t old_size, size_t new_size) {
  void* const moved = __builtin_expect(new_size > MI_MEDIUM_OBJ_SIZE_MAX, 0)
                          ? AllocateGrowing(new_size)
                          : TaskmemMalloc(new_size);
  if (moved == nullptr) return nullptr;
  memcpy(moved, block, old_size);
  TaskmemFree(block);
  return moved;
}

void* MoveSmaller(void* block, size_t new_size) {
  void* const moved = TaskmemMallocOptional(new_size);
  if (moved == nullptr) return block;
  memcpy(moved, block, new_size);
  TaskmemFree(block);
  return moved;
}

namespace {

// The block grown, where that needs no copy or the overflow file takes it. nullptr: refused,
// or, where `must_move` is set, nothing has been tried that a copy may not do.
void* Grow(const Growth& growth, bool* must_move) {
  ThreadState& t = t_thread;
  *must_move = t.phase != ThreadPhase::kReady || t.busy;
  if (*must_move) return nullptr;
  const ErrnoKeeper keeper;
  const InsideAllocator inside{InsideAllocator::NotNested()};
  Context* const context = t.context;
  Pair* const pair = t.pair;
  const bool has_ended = HasEnded(*pair) && !t.keeps_ended_task;
  const uint32_t slot = has_ended ? uint32_t{kUntrackedSlot} : pair->slot;
  void* result = nullptr;
  if (!has_ended && OverflowComesFirst() && !InOverflow(growth.block) &&
      PassesOrdinaryLimit(slot, GrowthBytes(growth, slot))) {
    GrowIntoOverflow(context, pair, growth, &result);
  }
  if (result != nullptr) {
    NoteServed(growth.size);
  } else {
    const Outcome outcome = GrowInPlace(slot, growth, ChargeMode::kWithinQuota, &result);
    if (outcome == Outcome::kOverQuota) result = GrowAtLimit(context, growth);
    *must_move = outcome == Outcome::kNoMemory;
    if (outcome == Outcome::kDone) NoteServed(growth.size);
  }
  if (context->sample_interval != 0) {
    if (result != nullptr) RecordSample(context, result, growth.size);
    context->sample_interval = 0;
  }
  if (g_soft_limit_percent != 0) NoteSoftLimit(t.pair->slot);
  return result;
}

__attribute__((noinline)) void* GrowOrMove(const Growth& growth) {
  if (growth.size > PTRDIFF_MAX) return Failed();
  bool must_move = false;
  void* const grown = Grow(growth, &must_move);
  if (grown != nullptr) return grown;
  return must_move ? MoveLarger(growth.block, growth.old_size, growth.size) : Failed();
}

}  // namespace

__attribute__((noinline)) void* ReallocLarge(void* block, size_t size) {
  const size_t old_size = UsableSize(block);
  if (size > old_size) return GrowOrMove({block, old_size, size});
  const bool is_huge = _mi_ptr_segment(block)->kind == MI_SEGMENT_HUGE;
  if (!is_huge && size >= old_size / 2) return block;
  // A copy of little is better than a segment of its own for it.
  constexpr size_t kLargestCopy = size_t{1} << 20;
  if (!is_huge || size <= kLargestCopy) {
    void* const moved = MoveSmaller(block, size);
    if (moved != block) return moved;
  }
  if (is_huge) ShrinkInPlace(block, size);
  return block;
}

}  // namespace taskmem
