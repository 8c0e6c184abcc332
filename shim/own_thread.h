// Threads of the library itself, inside a program that is not ours: detached, of no task, with
// the signals blocked that a program may handle on any thread.
#ifndef TASKMEM_SHIM_OWN_THREAD_H_
#define TASKMEM_SHIM_OWN_THREAD_H_

namespace taskmem {

// Once, by the constructor.
void OpenOwnThreads();

// Starts run(argument) on a thread called `name` (a literal of 15 characters at most). False:
// no memory, or the system has no more threads. Not in a signal handler.
bool StartOwnThread(const char* name, void (*run)(void*), void* argument);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OWN_THREAD_H_
