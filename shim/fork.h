// fork(): which locks are taken before it, and what parent and child do after it.
#ifndef TASKMEM_SHIM_FORK_H_
#define TASKMEM_SHIM_FORK_H_

namespace taskmem {

// Has fork run the library's handlers, next to the fork itself (fork.cc). Once; later calls do
// nothing.
void RegisterForkHandlers();

// This thread holds one of those locks: a signal handler has interrupted it there.
bool HoldsForkLocks();

// In the child of a fork that ran no handlers: threads that held a lock do not exist here.
void FreeLocksOfOtherThreads();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_FORK_H_
