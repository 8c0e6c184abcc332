// What the rest of the library has collected of contexts (heap/heap.h).
#include "shim/books/after_fork.h"
#include "shim/collect/collect.h"
#include "shim/collect/decay.h"
#include "shim/collect/orphan.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/contexts_of.h"
#include "shim/heap/heap.h"

namespace taskmem {

void CollectOwnContext() {
  if (t_thread.context == nullptr) return;
  const InsideAllocator inside;
  CollectContext(t_thread.context, /*force=*/true);
}

namespace {

// Of all contexts but this thread's. From inside the allocator.
void CollectOthers() {
  CollectParked(kEverySlot);
  CollectOrphan();
  CollectSleepers(kEverySlot);
}

}  // namespace

void CollectOtherContexts() {
  const InsideAllocator inside;
  CollectOthers();
}

void CollectForAllThreads() {
  EnsureSettledBooks();
  ThreadState& t = t_thread;
  if (t.context == nullptr || t.busy) return;
  const InsideAllocator inside;
  CollectContext(t.context, /*force=*/true);
  CollectOthers();
}

void CollectEverything() {
  EnsureSettledBooks();
  const InsideAllocator inside;
  if (inside.HasContext()) CollectAll(t_thread.context);
  CollectOthers();
  PurgeEverything();
  PostTotal();
}

}  // namespace taskmem
