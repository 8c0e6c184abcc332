// The calls by which a program gives a thread another name.
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <atomic>
#include <cstdarg>

#include "shim/base/next_symbol.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/heap/heap.h"
#include "shim/tasks/call_filter.h"
#include "shim/tasks/thread_tasks.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace taskmem;

EXPORT int pthread_setname_np(pthread_t thread, const char* name) noexcept {
  static std::atomic<void*> cache;
  auto* next = NextFunction<decltype(&pthread_setname_np)>(cache, "pthread_setname_np");
  const int error = next(thread, name);
  if (error == 0) {
    if (pthread_equal(thread, pthread_self())) {
      ThreadRenamed();
    } else {
      EnsureSettledBooks();
      AskThreadsToCheckTheirNames();
    }
  }
  return error;
}

EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(list, unsigned long);
  va_end(list);
  const FilterWatch watch(option == PR_SET_SECCOMP,
                          option == PR_SET_SECCOMP && arguments[0] == SECCOMP_MODE_STRICT);
  const long result =
      os::Call(SYS_prctl, option, static_cast<long>(arguments[0]), static_cast<long>(arguments[1]),
               static_cast<long>(arguments[2]), static_cast<long>(arguments[3]));
  if (os::Failed(result)) {
    watch.NoteFailure();
    errno = static_cast<int>(-result);
    return -1;
  }
  if (option == PR_SET_NAME) ThreadRenamed();
  return static_cast<int>(result);
}
