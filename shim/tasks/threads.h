// Threads that the program starts: their functions run between an entry and an end of the
// library's.
#ifndef TASKMEM_SHIM_TASKS_THREADS_H_
#define TASKMEM_SHIM_TASKS_THREADS_H_

namespace taskmem {

// Called by the constructor: how large a stack threads get that bring no size of their own.
void LookAtDefaultStack();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_THREADS_H_
