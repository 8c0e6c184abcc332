#include "shim/collect/orphan.h"

#include "shim/collect/collect.h"
#include "shim/segments/page_memory.h"

namespace taskmem {

Context* g_orphan = nullptr;
Mutex g_orphan_mutex;

void CollectOrphan() {
  if (g_orphan == nullptr || HoldsOrphan()) return;
  const OrphanLock lock;
  CollectContext(g_orphan, /*force=*/true);
}

void PurgeOrphan() {
  if (g_orphan == nullptr || HoldsOrphan()) return;
  const OrphanLock lock;
  PurgeContext(g_orphan, /*force=*/true);
}

}  // namespace taskmem
