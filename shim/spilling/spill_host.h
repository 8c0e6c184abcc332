// Spill hooks in this process: what spill/hooks/spill_hooks.h is given of books, threads and
// allocator, and who calls it.
//
// A hook runs inside a HookScope (heap.h), on a thread that allocates or on taskmem's own,
// which is named "taskmem-reclaim", has its signals blocked and is of no task. A task is
// known here by its slot and generation, so that a later one in its slot is another.
#ifndef TASKMEM_SHIM_SPILLING_SPILL_HOST_H_
#define TASKMEM_SHIM_SPILLING_SPILL_HOST_H_

#include <cstdint>

#include "shim/options/options.h"

namespace taskmem {

class SpillHooks;

// Once, by the constructor.
void OpenSpillHooks(const Options& options);

// nullptr: nobody has registered anything in this process (or, `make`: no memory; the caller
// runs in a vfork child).
SpillHooks* Hooks(bool make);
uint64_t SpillTaskOf(uint32_t slot, uint32_t generation);

// The consumer this thread allocates for, 0: none.
extern __thread uint64_t t_consumer __attribute__((tls_model("initial-exec")));

// Asks the hooks of the live task in `slot` for `bytes`, on this thread and taskmem's, as
// taskmem_task_spill says. Returns by how much less is charged to it. Not amid an allocation.
uint64_t SpillTask(uint32_t slot, uint64_t bytes);

// Around fork(), behind the heap's.
void AddSpillHookLocks(class ForkLocks* locks);
void SpillHooksAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILLING_SPILL_HOST_H_
