// Threads with contexts (contexts/context.h, heap/heap.h): how they come by one, work for tasks,
// and leave it.
#ifndef TASKMEM_SHIM_COLLECT_THREAD_CONTEXT_H_
#define TASKMEM_SHIM_COLLECT_THREAD_CONTEXT_H_

#include "shim/contexts/context.h"

namespace taskmem {

// Opens the books and the allocator: once, by whichever thread allocates first. False: there is no
// memory for them, or glibc's own heap has to do.
bool OpenOnce();

// From here on malloc of this thread looks into `pair`.
void UsePair(Context* context, Pair* pair);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_COLLECT_THREAD_CONTEXT_H_
