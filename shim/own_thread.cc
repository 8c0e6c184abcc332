#include "shim/own_thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "accounting/task_book.h"
#include "shim/after_fork.h"
#include "shim/heap.h"
#include "shim/libc.h"
#include "shim/os.h"
#include "shim/own_memory.h"
#include "shim/threads.h"

namespace taskmem {
namespace {

using ThreadStarter = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
ThreadStarter g_start_thread = nullptr;

struct Start {
  const char* name;
  void (*run)(void*);
  void* argument;
};

// From its entry into the heap to its end, however that comes.
void* Run(void* packed) {
  const Start start = *static_cast<Start*>(packed);
  OwnFree(packed, sizeof(Start));
  os::Call(SYS_prctl, PR_SET_NAME, reinterpret_cast<long>(start.name));
  const ThreadBirth birth = {{UINT64_MAX, kUntrackedSlot, 0}, 0, /*is_taskmems=*/true};
  EnterHeap(&birth);
  ExemptThread();
  pthread_cleanup_push([](void*) { LeaveHeap(); }, nullptr);
  start.run(start.argument);
  pthread_cleanup_pop(1);
  return nullptr;
}

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

void OpenOwnThreads() {
  g_start_thread = reinterpret_cast<ThreadStarter>(NextSymbol("pthread_create"));
}

bool StartOwnThread(const char* name, void (*run)(void*), void* argument) {
  ListBooks();
  auto* start = static_cast<Start*>(OwnAllocate(sizeof(Start)));
  if (start == nullptr || g_start_thread == nullptr) return false;
  *start = {name, run, argument};
  const HookScope scope;
  const SignalsBlocked blocked;
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const int error = g_start_thread(&thread, &attributes, Run, start);
  pthread_attr_destroy(&attributes);
  if (error != 0) OwnFree(start, sizeof(Start));
  return error == 0;
}

}  // namespace taskmem
