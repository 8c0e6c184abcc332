// fork(): which locks are taken before it, and what parent and child do after it.
#ifndef TASKMEM_SHIM_PROCESS_FORK_H_
#define TASKMEM_SHIM_PROCESS_FORK_H_

namespace taskmem {

// Has fork run the library's handlers, next to the fork itself (fork.cc). Once; later calls do
// nothing.
void RegisterForkHandlers();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PROCESS_FORK_H_
