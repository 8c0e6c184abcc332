// Tells others where the spill consumers and the cached blocks of this process are
// (accounting/audit/reclaim_layout.h). As each is made, once; a forked child inherits it.
#ifndef TASKMEM_SHIM_SPILLING_RECLAIM_TABLES_H_
#define TASKMEM_SHIM_SPILLING_RECLAIM_TABLES_H_

#include "spill/hooks/spill_hooks.h"
#include "spill/memory/memory_store.h"

namespace taskmem {

void PublishConsumers(const SpillHooks& hooks);
void PublishBlocks(const MemoryStore& blocks);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILLING_RECLAIM_TABLES_H_
