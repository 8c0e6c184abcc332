// Between a task's book and the pools: grants.
//
//   pools   --acquire-->   granted_bytes   --charge-->   charged_bytes
//           <--release--                   <--credit--
//
// A charge is one atomic operation on the task's book as long as the grant covers it. A
// task acquires a quantum more than it needs, and gives idle memory back once it is
// much more than that: so its threads stay off the pools' lock. When another request
// would be answered short, all that is idle goes back at once.
//
// What is idle goes back without waiting for the pools' lock: a credit may be made while
// other locks are held, and the next one does as well.
//
// Used below malloc: allocates nothing, takes no lock but the pools'. Where that may be
// held by the calling thread itself (in a signal handler), the caller uses the book
// alone, and the next charge or credit catches up.
#ifndef TASKMEM_ACCOUNTING_TASKS_TASK_GRANTS_H_
#define TASKMEM_ACCOUNTING_TASKS_TASK_GRANTS_H_

#include <atomic>
#include <cstdint>

#include "accounting/pools/unified_memory_manager.h"
#include "accounting/tasks/task_book.h"

namespace taskmem {

// The books of one process, drawing OFF_HEAP execution memory; a task's id in the pools is
// its slot. Thread-safe.
class TaskGrants final : public IdleGrantHolder {
 public:
  static constexpr uint64_t kMinQuantumBytes = 1024 * 1024;
  static constexpr uint64_t kMaxQuantumBytes = 2 * 1024 * 1024;
  // A task keeps this much idle before it gives all but a quantum back: blocks above
  // 128 KiB are charged one by one, and a few of them come and go all the time. Where larger
  // ones do, it keeps some of their size.
  static constexpr uint64_t kMaxIdleBytes = 4 * 1024 * 1024;
  static constexpr uint64_t kIdleCredits = 4;
  static constexpr uint64_t kMaxIdleInCredits = 64 * 1024 * 1024;
  static constexpr uint64_t kIdleShareOfRoom = 8;
  // An ended task acquires nothing more: what it gives up goes back soon.
  static constexpr uint64_t kEndedIdleBytes = 4096;

  // `books` has `slots` entries in use. What nobody draws from the pools (the untracked
  // book, those of ended tasks and of the spill reserve, and what the storage book has
  // beyond the storage pool) is kept in `unmanaged`. All must outlive this.
  TaskGrants(UnifiedMemoryManager& pools, TaskBook* books, const std::atomic<uint32_t>& slots,
             UnmanagedTotals& unmanaged)
      : pools_(pools), books_(books), slots_(slots), unmanaged_(unmanaged) {}

  // After TryCharge said kOverGrant: charges `bytes` and acquires what that needs. Neither
  // waits nor evicts. kOverGrant, and nothing is charged: the pools have not that much.
  ChargeOutcome AcquireAndCharge(uint32_t slot, uint64_t bytes);

  // After AcquireAndCharge said kOverGrant: acquires what a charge of `bytes` needs, evicting
  // blocks for it and waiting at most `timeout_ns`. It is idle then: another request may take
  // it before the caller charges it. Returns what was acquired; 0: the pools have not that
  // much, or the grant covers the charge. The caller holds no lock.
  uint64_t AcquireAhead(uint32_t slot, uint64_t bytes, int64_t timeout_ns);

  // What the storage book has for a block that is on its way to the storage pool is not
  // unmanaged meanwhile. A negative number takes that back.
  void ExpectStorage(int64_t bytes);

  // Memory that is free in the allocator and still in memory, as of now: unmanaged, too.
  void NoteSlack(int64_t bytes) { slack_.store(bytes, std::memory_order_relaxed); }

  // After ChargeOverQuota(bytes): has the pools cover it, overdrawn where they cannot.
  void Cover(uint32_t slot, uint64_t bytes);

  // What may stay idle after a credit of `bytes`, where nobody holds `room` bytes of the pools.
  static uint64_t MostIdle(uint64_t bytes, uint64_t room) {
    uint64_t more =
        bytes < kMaxIdleInCredits / kIdleCredits ? bytes * kIdleCredits : kMaxIdleInCredits;
    if (more > room / kIdleShareOfRoom) more = room / kIdleShareOfRoom;
    return kMaxIdleBytes + more;
  }

  // After a credit: whether more than `most` is idle, so that ReturnIdle should be called. While
  // anything is overdrawn, anything idle is too much: it would be charged again as if it were
  // the pools' to give. Cheap.
  static bool HasMuchIdle(const TaskBook& book, uint64_t charged, uint64_t most,
                          const std::atomic<uint64_t>& overdrawn) {
    const uint64_t granted = book.granted_bytes.load(std::memory_order_relaxed);
    if (granted == kNoPool || granted <= charged) return false;
    if (granted - charged > most) return true;
    if (overdrawn.load(std::memory_order_relaxed) != 0) return true;
    return book.state.load(std::memory_order_relaxed) != TaskState::kLive &&
           (charged == 0 || granted - charged >= kEndedIdleBytes);
  }

  // Releases what is idle beyond a quantum; all of it where the task has ended, somebody
  // waits or anything is overdrawn. Nothing where another thread is inside the pools.
  void ReturnIdle(uint32_t slot);

  // The task leaves N; what it still holds stays drawn until it is credited.
  void EndTask(uint32_t slot);

  // The slot holds nothing more: whatever it drew is released.
  void Forget(uint32_t slot);

  // The pools begin anew, and the books stand: draws for all of them.
  void Rebuild();

  void ReturnIdleGrants(MemoryMode mode, const int64_t* requester) override;

 private:
  // How much more than it needs a task with that grant acquires.
  static uint64_t Quantum(uint64_t granted) {
    const uint64_t quarter = granted / 4;
    return quarter < kMinQuantumBytes   ? kMinQuantumBytes
           : quarter > kMaxQuantumBytes ? kMaxQuantumBytes
                                        : quarter;
  }
  void RenewUnmanaged();
  uint64_t Acquire(ExecutionRequest request, uint64_t needed, uint64_t wanted);
  static uint64_t TakeIdle(TaskBook& book, uint64_t keep_idle);
  void ReleaseIdle(uint32_t slot);

  UnifiedMemoryManager& pools_;
  TaskBook* const books_;
  const std::atomic<uint32_t>& slots_;
  UnmanagedTotals& unmanaged_;
  std::atomic<int64_t> expected_storage_{0};
  std::atomic<int64_t> slack_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_TASKS_TASK_GRANTS_H_
