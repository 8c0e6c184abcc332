// The stacks of threads that pthread_create made: glibc maps them itself, unseen.
#ifndef TASKMEM_SHIM_MALLOC_PTHREAD_STACKS_H_
#define TASKMEM_SHIM_MALLOC_PTHREAD_STACKS_H_

#include <cstdint>

namespace taskmem {

struct ThreadStack {
  uint64_t start;
  uint64_t end;
  uint32_t tid;
  uint32_t slot;  // of the task its thread works for
};

// The mapping that the stack of one running thread lies in; main's, one that the program
// mapped itself, and those of the library's own threads are none. Calls visit(stack, argument) for
// each. Reads /proc/self/maps.
void ForEachThreadStack(void (*visit)(const ThreadStack&, void*), void* argument);

// How much of them is in memory.
uint64_t ThreadStackBytes();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_PTHREAD_STACKS_H_
