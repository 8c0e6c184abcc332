// The task that stands for the process.
#ifndef TASKMEM_SHIM_BOOKS_PROCESS_TASK_H_
#define TASKMEM_SHIM_BOOKS_PROCESS_TASK_H_

#include "shim/books/current_task.h"

namespace taskmem {

// With --task-by process; else none. Set as the program starts, then constant.
inline constinit CurrentTask g_process_task = kUntrackedTask;

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_PROCESS_TASK_H_
