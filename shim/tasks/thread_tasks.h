// Which task a thread works for: by its birth, its name and --task-by.
#ifndef TASKMEM_SHIM_TASKS_THREAD_TASKS_H_
#define TASKMEM_SHIM_TASKS_THREAD_TASKS_H_

#include <cstddef>
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

// While it lives, whoever names this thread, or one that it starts, means `name`, of which the
// system gets less.
class WholeNameScope {
 public:
  explicit WholeNameScope(const char* name);
  ~WholeNameScope();
  WholeNameScope(const WholeNameScope&) = delete;
  WholeNameScope& operator=(const WholeNameScope&) = delete;
};

// In the memory of a name, of which what is longer is cut; with the zero at the end.
constexpr size_t kWholeNameBytes = 256 * 3 + 1;

// A copy for the thread that is about to be started; nullptr: there is no such scope, or no memory.
char* CopyBirthName();

// In the new thread: what it means when it names itself for the first time.
void KeepBirthName(char* copy);

// nullptr is none.
void FreeBirthName(char* copy);

// This thread ends, and may never have named itself.
void DropBirthName();

// --quota: of tasks that bring none of their own.
uint64_t DefaultQuota();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_THREAD_TASKS_H_
