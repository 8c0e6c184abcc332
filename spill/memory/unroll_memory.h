// How much unroll memory each task has: storage memory of blocks that are still growing
// (MS-19, MS-20).
#ifndef TASKMEM_SPILL_MEMORY_UNROLL_MEMORY_H_
#define TASKMEM_SPILL_MEMORY_UNROLL_MEMORY_H_

#include <cstdint>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/memory_mode.h"
#include "accounting/pools/task_table.h"

namespace taskmem {

// Only the books: what is acquired and released is the caller's business. Thread-safe.
class UnrollMemory {
 public:
  UnrollMemory() = default;
  UnrollMemory(const UnrollMemory&) = delete;
  UnrollMemory& operator=(const UnrollMemory&) = delete;

  // `bytes` >= 0; a task with 0 has a key, too. False: no memory for it.
  bool Add(int64_t task, int64_t bytes, MemoryMode mode);
  // At most `bytes`, and at most what the task has. Returns what was taken off; the key
  // goes with the last byte.
  int64_t Take(int64_t task, int64_t bytes, MemoryMode mode);
  // Everything of a mode; returns how much.
  int64_t Clear(MemoryMode mode);

  // Around fork().
  void AddLocks(ForkLocks* locks) { locks->Add(mutex_); }
  void ResetInChild() { mutex_.ResetAfterFork(); }

  int64_t Of(int64_t task, MemoryMode mode) const;
  int64_t OfTask(int64_t task) const;  // both modes
  int64_t Total() const;               // all tasks, both modes
  int64_t Tasks() const;               // distinct ones

  // visit(const TaskEntry&), of which `task` and `bytes` matter, under the lock.
  template <typename Visit>
  void ForEach(MemoryMode mode, Visit visit) const {
    const MutexLock lock(mutex_);
    tasks_[IndexOf(mode)].ForEach(visit);
  }

 private:
  mutable Mutex mutex_;
  TaskTable tasks_[kMemoryModes];
  int64_t total_[kMemoryModes] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_UNROLL_MEMORY_H_
