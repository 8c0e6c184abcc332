#include "shim/contexts/borrow.h"

#include "shim/contexts/registry.h"

namespace taskmem {

namespace {

// Under the lock.
void Own(Context* context) {
  context->is_lent = false;
  t_thread.id.store(context->number, std::memory_order_relaxed);
}

}  // namespace

void TakeBack() {
  Context* context = t_thread.context;
  if (context == nullptr) return;
  // While it forks it has the lock all the time.
  const bool has_lock = context->lock.IsHeldByThisThread();
  if (!has_lock) context->lock.Lock();
  Own(context);
  if (!has_lock) context->lock.Unlock();
}

bool TryTakeBack() {
  Context* context = t_thread.context;
  if (context == nullptr || !context->lock.TryLock()) return false;
  Own(context);
  context->lock.Unlock();
  return true;
}

#ifdef TASKMEM_DEBUG
void AssertMayChange(const Context* context) {
  const ThreadState& t = t_thread;
  if (context->index >= ContextCount() || ContextAt(context->index) != context) return;  // orphans'
  if (context == t.context && !context->lock.IsHeldByThisThread()) {
    // Its id may have been taken away again: who did so finds that it is inside.
    TASKMEM_DCHECK(t.busy && !context->is_lent);
  } else {
    TASKMEM_DCHECK(context->lock.IsHeldByThisThread());
  }
}
#endif

}  // namespace taskmem
