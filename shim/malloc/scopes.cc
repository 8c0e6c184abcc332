// Scopes of code that runs amid an allocation, or keeps out of one (heap/heap.h).
#include "shim/books/pool_size.h"
#include "shim/collect/thread_context.h"
#include "shim/contexts/borrow.h"
#include "shim/heap/heap.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

SlotScope::SlotScope(uint64_t id, uint32_t slot)
    : has_context_(t_thread.context != nullptr),
      was_busy_(false),
      kept_ended_task_(t_thread.keeps_ended_task) {
  ThreadState& t = t_thread;
  if (!has_context_) return;
  task_ = {t.pair->id, t.pair->slot, t.pair->generation};
  was_busy_ = InsideAllocator::Suspend();
  // Without memory for the pair its requests stay the task's.
  SwitchTask(id, slot, 0);
}

SlotScope::~SlotScope() {
  ThreadState& t = t_thread;
  if (!has_context_) return;
  // The pair may have gone meanwhile, and with it the task: then it is made again, and what
  // it finds ended is noticed by the next allocation.
  if (!SwitchTask(task_.id, task_.slot, task_.generation)) {
    const InsideAllocator inside;
    UsePair(t.context, &t.context->untracked);
  }
  t.keeps_ended_task = kept_ended_task_;
  InsideAllocator::Resume(was_busy_);
}

namespace {

bool EnterHook() {
  const bool was_in_hook = t_thread.in_hook;
  if (t_thread.context != nullptr) t_thread.in_hook = true;
  return was_in_hook;
}

}  // namespace

HookScope::HookScope() : was_in_hook_(EnterHook()), slot_(kSpillReserveId, kSpillReserveSlot) {}

HookScope::~HookScope() { t_thread.in_hook = was_in_hook_; }

void AbandonAllocation() {
  InsideAllocator::Suspend();
  t_thread.exempt = true;
}

HugePages::HugePages(size_t block_bytes) {
  constexpr size_t kLeastBytes = 1 << 20;
  ThreadState& t = t_thread;
  if (block_bytes < kLeastBytes || t.context == nullptr) return;
  t.wants_huge_pages = MemoryIsUnset() && g_books[t.pair->slot].quota_bytes.load(
                                              std::memory_order_relaxed) == kNoQuota;
}

HugePages::~HugePages() { t_thread.wants_huge_pages = false; }

LibraryScope::LibraryScope() : was_busy_(InsideAllocator::Enter()) {}
LibraryScope::~LibraryScope() { InsideAllocator::Leave(was_busy_); }

}  // namespace taskmem
