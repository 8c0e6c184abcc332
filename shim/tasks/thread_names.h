// --task-by thread-name: which task a thread's name stands for.
//
// A group of digits is the task's id. Any other name gets a small number: the same one as long as
// the process remembers it, which is for some thousand names.
#ifndef TASKMEM_SHIM_TASKS_THREAD_NAMES_H_
#define TASKMEM_SHIM_TASKS_THREAD_NAMES_H_

#include <cstdint>

#include "accounting/base/mutex.h"
#include "accounting/tasks/task_book.h"

namespace taskmem {

struct NamedTask {
  uint64_t id;
  char name[TaskBook::kNameBytes];  // the group's text, or all that matched; cut
};

// Before the first thread is started. `regex` has been checked (options.h).
void OpenThreadNames(const char* regex);

// False: the name stands for no task; it is remembered for SayIfNoNameMatched. Takes a lock, and
// may allocate as the program does.
bool FindNamedTask(const char* thread_name, NamedTask* task);

// This thread is inside FindNamedTask.
bool IsMatchingName();

// A number that no name and no live task has.
uint64_t NewTaskNumber();

// One line, once: no name that any thread had stood for a task, and which were seen. Only in a
// process in which a thread took a name, or that `taskmem run` itself started; nothing where
// OpenThreadNames was not called.
void SayIfNoNameMatched();

// Around fork().
Mutex& ThreadNamesMutex();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_THREAD_NAMES_H_
