// Which task a thread works for: by its birth, its name and --task-by.
#ifndef TASKMEM_SHIM_TASKS_THREAD_TASKS_H_
#define TASKMEM_SHIM_TASKS_THREAD_TASKS_H_

#include <cstdint>

#include "shim/options/options.h"

namespace taskmem {

// Called by the constructor, on the main thread.
void StartTasks(const Options& options);

// Around fork(): nobody is matching a name.
void AddThreadLocks(class ForkLocks* locks);

// This thread has another name: the options may give it another task.
void ThreadRenamed();

// This thread ends, or leaves the task that it began by being or by its name: that ends too.
void EndTaskOfThread();

// --task-by thread-name.
bool LooksAtNames();

// While it lives, whoever renames this thread means `name`, of which the system gets less.
class WholeNameScope {
 public:
  explicit WholeNameScope(const char* name);
  ~WholeNameScope();
  WholeNameScope(const WholeNameScope&) = delete;
  WholeNameScope& operator=(const WholeNameScope&) = delete;
};

// --quota: of tasks that bring none of their own.
uint64_t DefaultQuota();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_THREAD_TASKS_H_
