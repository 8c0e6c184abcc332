// Which task this thread works for, and its entry and end (heap/heap.h).
#include "shim/collect/thread_context.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/pairs.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/malloc/fast_path.h"

namespace taskmem {

CurrentTask GetCurrentTask() {
  const ThreadState& t = t_thread;
  if (t.pair == nullptr || (HasEnded(*t.pair) && !t.keeps_ended_task)) {
    return {UINT64_MAX, kUntrackedSlot, 0};
  }
  return {t.pair->id, t.pair->slot, t.pair->generation};
}

bool AttachThread(const CurrentTask& task, bool keep_after_end) {
  if (!SwitchTask(task.id, task.slot, task.generation)) return false;
  t_thread.keeps_ended_task = keep_after_end;
  return true;
}

TASKMEM_FAST bool AttachKnown(uint64_t id) {
  ThreadState& t = t_thread;
  Context* context = t.context;
  if (context == nullptr || t.busy || !HasOwnBooks() || !OwnsItsContext(t)) {
    return false;
  }
  Pair* pair = id == UINT64_MAX ? &context->untracked : FindPair(context, id);
  if (pair == nullptr) return false;
  t.keeps_ended_task = false;
  t.pair = pair;
  _mi_heap_default = pair->front;
  g_thread_entries[context->index].slot_plus_one.store(pair->slot + 1, std::memory_order_relaxed);
  // Ended since it was found? Then the next allocation must notice.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (__builtin_expect(HasEnded(*pair), 0)) _mi_heap_default = EmptyHeap();
  return true;
}

void EnterHeap(const ThreadBirth* birth) {
  t_thread.birth = birth;
  if (t_thread.phase == ThreadPhase::kNew) EnterThread();
  t_thread.birth = nullptr;
}

void LeaveHeap() { LeaveThread(); }
const ThreadBirth* CurrentBirth() { return t_thread.birth; }
void ExemptThread() { t_thread.exempt = true; }
bool IsAllocating() { return t_thread.busy; }

}  // namespace taskmem
