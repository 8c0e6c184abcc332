// Threads of the library itself, inside a program that is not ours: detached, of no task, with
// the signals blocked that a program may handle on any thread, on stacks of their own
// (own_stack.h).
#ifndef TASKMEM_SHIM_OWN_THREADS_OWN_THREAD_H_
#define TASKMEM_SHIM_OWN_THREADS_OWN_THREAD_H_

#include <cstddef>

namespace taskmem {

struct OwnThread {
  // Of its stack, besides what thread-local storage takes. In memory were, with glibc's control
  // block and a debug log: 8 KiB of the sampler's, the decay thread's and the writer's, 16 of the
  // pager's. A signal of glibc's own (setuid) may need 12 more.
  static constexpr size_t kStackBytes = 64 * 1024;
  // Of a thread that runs spill hooks: as much as a JVM's threads have. It takes memory as far as
  // a hook touches it, until the thread ends.
  static constexpr size_t kHookStackBytes = 1024 * 1024;

  const char* name;  // a literal of 15 characters at most
  void (*run)(void*);
  void* argument;
  size_t stack_bytes;
  // Whether it uses malloc. One that does not may be started amid an allocation.
  bool allocates;
};

// Once, by the constructor.
void OpenOwnThreads();

// False: no memory, or the system has no more threads. Keeps errno. Not in a signal handler.
bool StartOwnThread(const OwnThread& thread);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OWN_THREADS_OWN_THREAD_H_
