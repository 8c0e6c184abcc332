// Giving back what is free but still charged: retired pages,
// pages whose blocks other threads freed, contexts nobody is running with.
#ifndef TASKMEM_SHIM_COLLECT_COLLECT_H_
#define TASKMEM_SHIM_COLLECT_COLLECT_H_

#include <cstdint>

#include "shim/contexts/context.h"

namespace taskmem {

// Of this thread's context, or one that is locked.
void CollectContext(Context* context, bool force);

// The same after the pages of its ended pairs were given up.
void CollectAll(Context* context);

// collect(context), where no thread has it and nobody else collects it now.
void CollectIfParked(Context* context, void (*collect)(Context*) = CollectAll);

// Likewise for the context of a thread that sleeps; and of one that has ended unnoticed.
void CollectIfAsleep(Context* context, void (*collect)(Context*) = CollectAll);

// Of contexts that may have something for the slot's task (ContextsOf): those that no thread
// has, and those whose threads sleep. Return how many were looked at. Only from inside the
// allocator: a handler that allocates must not find a lock held by its own thread.
uint32_t CollectParked(uint32_t slot);
uint32_t CollectSleepers(uint32_t slot);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_COLLECT_COLLECT_H_
