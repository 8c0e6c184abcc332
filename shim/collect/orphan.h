// The orphans' context: for threads that have no context of their own any more, and for signal
// handlers that interrupted the slow path.
#ifndef TASKMEM_SHIM_COLLECT_ORPHAN_H_
#define TASKMEM_SHIM_COLLECT_ORPHAN_H_

#include "accounting/base/mutex.h"
#include "shim/contexts/context.h"

namespace taskmem {

extern Context* g_orphan;  // nullptr: nobody has needed it yet
extern Mutex g_orphan_mutex;

inline bool HoldsOrphan() { return g_orphan_mutex.IsHeldByThisThread(); }

// The orphans' context for a while; not by a thread that holds it.
class OrphanLock {
 public:
  OrphanLock() { g_orphan_mutex.Lock(); }
  ~OrphanLock() { g_orphan_mutex.Unlock(); }
  OrphanLock(const OrphanLock&) = delete;
  OrphanLock& operator=(const OrphanLock&) = delete;
};

// Not where this thread holds it.
void CollectOrphan();
void PurgeOrphan();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_COLLECT_ORPHAN_H_
