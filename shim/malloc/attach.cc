// Which task this thread works for, and its entry and end (heap/heap.h).
#include "shim/collect/thread_context.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/pairs.h"
#include "shim/contexts/registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/malloc/fast_path.h"

namespace taskmem {

CurrentTask GetCurrentTask() {
  const ThreadState& t = t_thread;
  if (t.pair == nullptr || (HasEnded(*t.pair) && !t.keeps_ended_task)) {
    return kUntrackedTask;
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
  if (context == nullptr || t.busy || t.is_pool || !HasOwnBooks() || !OwnsItsContext(t)) {
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

void MarkPoolThread(bool is_pool) {
  ThreadState& t = t_thread;
  if (t.context == nullptr || t.is_pool == is_pool) return;
  t.is_pool = is_pool;
  t.context->is_pool_thread.store(is_pool, std::memory_order_relaxed);
}

bool IsPoolThread(uint32_t entry) {
  return ContextAt(entry)->is_pool_thread.load(std::memory_order_relaxed);
}

void LookIfPoolThread() {
  if (t_thread.is_pool && !t_thread.busy) LookAtPoolThread();
}

CurrentTask AttachedTask() {
  const Pair* const pair = t_thread.pair;
  if (pair == nullptr) return kUntrackedTask;
  return {pair->id, pair->slot, pair->generation};
}

bool OwnThreadEntry(uint32_t* entry, uint32_t* tid) {
  const Context* const context = t_thread.context;
  if (context == nullptr) return false;
  *entry = context->index;
  *tid = g_thread_entries[context->index].tid.load(std::memory_order_relaxed);
  return true;
}

void OwnStackEnd(uint64_t* address, uint64_t* known_bytes) {
  const Context* const context = t_thread.context;
  if (context == nullptr) return;
  *address = context->stack_top;
  *known_bytes = context->known_stack_bytes;
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
