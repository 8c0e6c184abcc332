// Spill hooks in this process: what spill/hooks/spill_hooks.h is given of books, threads and
// allocator, and who calls it.
//
// A hook runs inside a HookScope (heap.h), on a thread that allocates or on taskmem's own,
// which is named "taskmem-reclaim", has its signals blocked and is of no task. A task is
// known here by its slot and generation, so that a later one in its slot is another.
#ifndef TASKMEM_SHIM_SPILL_HOST_H_
#define TASKMEM_SHIM_SPILL_HOST_H_

#include <cstdint>

#include "shim/options.h"

namespace taskmem {

class SpillHooks;

// Once, by the constructor.
void OpenSpillHooks(const Options& options);

// --spill-timeout: what an allocation may wait in all for hooks of other threads.
int64_t SpillTimeoutNs();

// An allocation of this thread that finds too little.
struct SpillNeed {
  uint32_t slot;
  uint32_t generation;
  uint64_t bytes;
  int64_t* wait_left_ns;         // how long it may wait for other threads; lowered by what it did
  bool (*serve)(void* request);  // tries again: true where it has been served
  void* request;
};

// Asks the consumers of the task, until the allocation is served. Returns by how much the books
// went down, at least 1 where another thread's spill was awaited, of which they need not show
// anything; 0 may mean that small blocks became free which have served the request. Called with
// no lock held, amid an allocation (ThreadState::busy): afterwards the thread's pair, its heap and
// the task may be others. Not for threads that are exempt or inside a hook.
uint64_t SpillConsumers(const SpillNeed& need);

// --soft-limit; 0: none.
extern uint32_t g_soft_limit_percent;
// An allocation for the task in `slot` has been served: where the task is above its soft limit
// now, a reclaimer is told, once. Only while g_soft_limit_percent is not 0.
void NoteSoftLimit(uint32_t slot);

// nullptr: nobody has registered anything in this process (or, `make`: no memory; the caller
// runs in a vfork child).
SpillHooks* Hooks(bool make);
uint64_t SpillTaskOf(uint32_t slot, uint32_t generation);

// The consumer this thread allocates for, 0: none.
extern __thread uint64_t t_consumer __attribute__((tls_model("initial-exec")));

// Around fork(), behind the heap's.
void AddSpillHookLocks(class ForkLocks* locks);
void SpillHooksAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILL_HOST_H_
