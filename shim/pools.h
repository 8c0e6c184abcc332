// The pools of this process: --memory, divided between tasks (execution) and blocks
// (storage) by Spark's rules (accounting/unified_memory_manager.h).
//
// What no task owns is unmanaged memory: never refused, and it lowers what tasks may take.
#ifndef TASKMEM_SHIM_POOLS_H_
#define TASKMEM_SHIM_POOLS_H_

#include <cstdint>

#include "accounting/task_book.h"
#include "shim/options.h"

namespace taskmem {

// Once, before the first task begins. Until then nothing is limited.
void OpenPools(const Options& options);

// In a forked child: the books stand, and the pools begin anew with them.
void PoolsAfterFork();

// The next functions may allocate nothing and take the pools' lock. A thread that is
// inside one (and was interrupted by a signal handler) gets the answer that needs no
// lock.

// What a new task's book is granted: nothing, or everything while there are no pools.
uint64_t GrantAtBegin();
// A charge its task's grant does not cover.
ChargeOutcome ChargeFromPools(uint32_t slot, uint64_t bytes);
// What a charge of `bytes` needs, acquired ahead (TaskGrants::AcquireAhead): may evict blocks,
// which calls back, and wait. The caller holds no lock and is inside a HookScope (heap.h).
uint64_t AcquireAheadInPools(uint32_t slot, uint64_t bytes, int64_t timeout_ns);
// A charge that policy let through has been made.
void CoverByPools(uint32_t slot, uint64_t bytes);
// A credit has left much idle.
void ReturnIdleToPools(uint32_t slot);
// The task has ended; its slot is free.
void EndTaskInPools(uint32_t slot);
void ForgetInPools(uint32_t slot);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_POOLS_H_
