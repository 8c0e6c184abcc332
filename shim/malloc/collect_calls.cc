// What the rest of the library has collected of contexts (heap/heap.h), and the storage that no
// heap has.
#include <atomic>

#include "shim/books/after_fork.h"
#include "shim/collect/collect.h"
#include "shim/collect/decay.h"
#include "shim/collect/orphan.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/contexts_of.h"
#include "shim/heap/heap.h"
#include "shim/malloc/walk.h"

namespace taskmem {

void CollectOwnContext() {
  if (t_thread.context == nullptr) return;
  const InsideAllocator inside;
  CollectContext(t_thread.context, /*force=*/true);
}

void CollectOtherContexts() {
  const InsideAllocator inside;
  CollectParked(kEverySlot);
  CollectOrphan();
  CollectSleepers(kEverySlot);
}

void CollectForAllThreads() {
  EnsureSettledBooks();
  ThreadState& t = t_thread;
  if (t.context == nullptr || t.busy) return;
  const InsideAllocator inside;
  CollectContext(t.context, true);
  CollectParked(kEverySlot);
  CollectOrphan();
  CollectSleepers(kEverySlot);
}

void CollectEverything() {
  EnsureSettledBooks();
  const InsideAllocator inside;
  if (inside.HasContext()) CollectAll(t_thread.context);
  CollectParked(kEverySlot);
  CollectOrphan();
  CollectSleepers(kEverySlot);
  PurgeEverything();
  PostTotal();
}

std::atomic<uint64_t> g_mapped_storage_bytes{0};

void CountMappedStorage(int64_t bytes) {
  g_mapped_storage_bytes.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
  if (bytes > 0) {
    Charge(kStorageSlot, static_cast<uint64_t>(bytes), ChargeMode::kOverQuota);
  } else {
    Credit(kStorageSlot, static_cast<uint64_t>(-bytes));
  }
}

}  // namespace taskmem
