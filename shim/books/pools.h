// The pools of this process: --memory, divided between tasks (execution) and blocks
// (storage) by Spark's rules (accounting/pools/unified_memory_manager.h).
//
// What no task owns is unmanaged memory: never refused, and it lowers what tasks may take.
#ifndef TASKMEM_SHIM_BOOKS_POOLS_H_
#define TASKMEM_SHIM_BOOKS_POOLS_H_

#include <cstdint>

#include "accounting/pools/block_evictor.h"
#include "accounting/tasks/task_book.h"
#include "shim/options/options.h"

namespace taskmem {

class UnifiedMemoryManager;

// Once, before the first task begins. Until then nothing is limited.
void OpenPools(const Options& options);

// Where memory is short a task is refused for what others may have (--share).
extern bool g_shares_are_limits;

// In a forked child: the books stand, and the pools begin anew with them. Where a signal
// handler has interrupted this thread inside the pools they stay as they are.
void PoolsAfterFork();

// This thread is inside the pools, amid what a signal handler has interrupted.
bool IsInsidePools();

// nullptr: before OpenPools.
UnifiedMemoryManager* Pools();

// The default of --memory is looked up when so much is charged that it matters, because it takes
// many system calls; or now, before that becomes impossible. Whoever shows it shows nothing until
// then.
void LookUpMemory();
// From now on --memory is `bytes`, above 0 (UINT64_MAX: no limit). What is held stays held, and
// counts as granted above it. Returns what it was; 0: nothing was changed, as this thread is inside
// the pools or there are none.
uint64_t SetMemory(uint64_t bytes);
// Of it, what tasks, blocks and those without a task have, and slack.
uint64_t UsedOfMemory();

// Who is asked for room from now on; until then nobody is.
void AttachToPools(BlockEvictor* store);

// A value of `bytes` that the storage book has already is going to be storage memory of the
// pools: it is not unmanaged memory beside them. A negative number takes that back.
void ExpectStorage(int64_t bytes);
// Before a value of `bytes` is stored: what is free and in memory goes before other blocks do,
// where there is too little room for it (slack.h). No lock may be held.
void GiveSlackBackFor(uint64_t bytes);

// While it lives this thread may hold the lock of the pools or of what is built on them, and a
// signal handler that interrupts it keeps out of both. False: it was inside already, and
// must keep out itself.
class InsidePools {
 public:
  // `changes`: what the pools show is renewed at the end.
  explicit InsidePools(bool changes = true);
  ~InsidePools();
  InsidePools(const InsidePools&) = delete;
  InsidePools& operator=(const InsidePools&) = delete;
  explicit operator bool() const { return is_entered_; }

 private:
  const bool is_entered_;
  const bool changes_;
};

// While it lives this thread runs code of the program, and holds no such lock.
class OutsidePools {
 public:
  OutsidePools();
  ~OutsidePools();
  OutsidePools(const OutsidePools&) = delete;
  OutsidePools& operator=(const OutsidePools&) = delete;

 private:
  const bool was_inside_;
};

// On whose behalf this thread acquires memory ahead (see below); 0: it does not.
uint32_t SlotThatAcquires();

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
// What is idle beyond a quantum.
void ReturnIdleToPools(uint32_t slot);
// The same, where a credit of `bytes`, after which `charged` was left, has left much idle.
void ReturnMuchIdleToPools(uint32_t slot, uint64_t charged, uint64_t bytes);
// The task has ended; its slot is free.
void EndTaskInPools(uint32_t slot);
void ForgetInPools(uint32_t slot);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_POOLS_H_
