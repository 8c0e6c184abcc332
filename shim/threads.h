// Threads: where they come from, and which task that gives them.
#ifndef TASKMEM_SHIM_THREADS_H_
#define TASKMEM_SHIM_THREADS_H_

#include "shim/heap.h"
#include "shim/options.h"

namespace taskmem {

// What a new thread gets from its creator.
struct ThreadBirth {
  CurrentTask task;
  uint64_t stack_bytes = 0;  // that its stack surely has
  bool is_taskmems = false;  // a thread of the library: of no task, whatever the options say
};

// Called once a thread has a context: attaches it to the task that its birth and
// --task-by give it.
void ThreadEntered();

// The thread was renamed by another: called by it, at its next slow path.
void RecheckThreadName();

// Called by the constructor, on the main thread.
void StartTasks(const Options& options);

// Around fork(): nobody is matching a name.
void AddThreadLocks(class ForkLocks* locks);

// --quota: of tasks that bring none of their own.
uint64_t DefaultQuota();

// The task that stands for the process (--task-by process); else none.
CurrentTask ProcessTask();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_THREADS_H_
