// Execution memory: what running tasks hold, and who of N may hold how much.
//
//   used = sum of the tasks' bytes <= size
//   each task: at most 1/N of the pool as large as it may grow; one that holds less
//   than 1/2N waits rather than being answered less (EXEC-3)
//
// Or without the cap: a task may have all that is free, but for what the other active tasks lack
// of 1/2N each. So a small one is not refused for a large one's sake, who was first with a part of
// memory that more tasks share since keeps it, and nothing waits that would not wait otherwise.
#ifndef TASKMEM_ACCOUNTING_POOLS_EXECUTION_MEMORY_POOL_H_
#define TASKMEM_ACCOUNTING_POOLS_EXECUTION_MEMORY_POOL_H_

#include "accounting/pools/memory_pool.h"
#include "accounting/pools/task_table.h"

namespace taskmem {

// What a pass of EXEC-3 decides by, besides the pool and the task.
struct GrantLimits {
  int64_t max_pool_bytes;  // as large as the pool may get (UMM-6), without what is overdrawn
  int64_t min_pool_bytes;  // what 1/2N is taken of
  int64_t free_bytes;      // what may be granted now
  bool divide;             // the cap of a task is 1/N, not the whole
  // What other active tasks lack of 1/2N is kept for them: not from the pool as large as it may
  // grow, which eviction may not reach, but of what a task may be given now and after it.
  bool keeps_shares = false;
};

// Not thread-safe; growth and waiting are the manager's.
class ExecutionMemoryPool : public MemoryPool {
 public:
  using MemoryPool::MemoryPool;

  const char* name() const {  // EXEC-10
    return mode() == MemoryMode::kOnHeap ? "on-heap execution" : "off-heap execution";
  }

  // Tasks that count, N: those with a key, of 0 bytes, too (EXEC-1, EXEC-6).
  int64_t active_tasks() const { return active_tasks_; }
  // What tasks hold beyond what could be granted: not in used().
  int64_t overdrawn() const { return overdrawn_; }

  bool Has(int64_t task) const { return tasks_.Find(task) != nullptr; }
  // Part of used(): what tasks hold that have ended.
  int64_t retired() const { return retired_; }

  // 0 for a task without a key; with what it has overdrawn.
  int64_t UsageOf(int64_t task) const;
  int64_t OverdrawnBy(int64_t task) const;

  // Gives the task a key (EXEC-3a). `inserted`: it had none, so N grew. False: no
  // memory for it.
  bool Register(int64_t task, bool* inserted);

  // What the task may have more before its cap is met, whatever is free.
  int64_t Headroom(int64_t task, const GrantLimits& limits) const;

  struct Decision {
    int64_t grant;   // bytes the task may have now
    bool must_wait;  // it is less than it asked for, and than its minimum
  };
  // EXEC-3 (d) to (h). The task has a key; `bytes` > 0.
  Decision Decide(int64_t task, int64_t bytes, const GrantLimits& limits) const;

  // The task has a key; `bytes` has been decided on.
  void Grant(int64_t task, int64_t bytes);

  // Books `bytes` to the task beyond what is free. The task has a key.
  void Overdraw(int64_t task, int64_t bytes);

  // What the task held may be less: only that is released, and returned (EXEC-8).
  // What was overdrawn is given back first. The key goes with the last byte.
  int64_t Release(int64_t task, int64_t bytes);

  // The task leaves N. Its key stays while it holds bytes.
  void Retire(int64_t task);

  // All keys go, for a process that begins anew.
  void Clear();

  // visit(const TaskEntry&) for every key, in no order.
  template <typename Visit>
  void ForEachTask(Visit visit) const {
    tasks_.ForEach(visit);
  }

 private:
  void Remove(TaskEntry* entry);
  // What the other active tasks lack of `minimum` each. Walks over all tasks.
  int64_t LackOfOthers(int64_t task, int64_t minimum) const;

  TaskTable tasks_;
  int64_t active_tasks_ = 0;
  int64_t overdrawn_ = 0;
  int64_t retired_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_EXECUTION_MEMORY_POOL_H_
