#include "shim/own_threads/own_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "accounting/base/round_up.h"
#include "accounting/tasks/task_book.h"
#include "shim/base/next_symbol.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/own_threads/own_stack.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

using ThreadStarter = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
ThreadStarter g_start_thread = nullptr;

// What glibc needs of a stack for itself, a program's thread-local storage above all, which may
// be megabytes.
std::atomic<uint64_t> g_least_bytes{0};

struct Start {
  OwnThread thread;
  OwnStack* stack;
};

void EnterOwnHeap(const OwnStack& stack) {
  const auto top = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
  const ThreadBirth birth = {kUntrackedTask, top - stack.start.load(std::memory_order_relaxed),
                             /*is_taskmems=*/true};
  EnterHeap(&birth);
  ExemptThread();
}

// From its entry into the heap to its end, however that comes.
void* Run(void* packed) {
  Start start = *static_cast<Start*>(packed);
  OwnFree(packed, sizeof(Start));
  BeginOnOwnStack(start.stack);
  os::Call(SYS_prctl, PR_SET_NAME, reinterpret_cast<long>(start.thread.name));
  if (start.thread.allocates) EnterOwnHeap(*start.stack);
  pthread_cleanup_push(
      [](void* ended) {
        const auto& start = *static_cast<Start*>(ended);
        if (start.thread.allocates) LeaveHeap();
        EndOnOwnStack(start.stack);
      },
      &start);
  start.thread.run(start.thread.argument);
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

// EINVAL: glibc needs a larger stack.
int TryToStart(Start* start, uint64_t stack_bytes) {
  start->stack = TakeOwnStack(stack_bytes);
  if (start->stack == nullptr) return ENOMEM;
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const uint64_t start_of_stack = start->stack->start.load(std::memory_order_relaxed);
  pthread_attr_setstack(&attributes, reinterpret_cast<void*>(start_of_stack),
                        start->stack->bytes.load(std::memory_order_relaxed));
  const int error = g_start_thread(&thread, &attributes, Run, start);
  pthread_attr_destroy(&attributes);
  if (error != 0) GiveOwnStackBack(start->stack, /*is_too_small=*/error == EINVAL);
  return error;
}

int TryToStart(Start* start) {
  constexpr uint64_t kMostBytes = uint64_t{1} << 30;
  for (;;) {
    const uint64_t least = g_least_bytes.load(std::memory_order_relaxed);
    const int error = TryToStart(start, least + start->thread.stack_bytes);
    if (error != EINVAL || least >= kMostBytes) return error;
    g_least_bytes.store(least < 64 * 1024 ? 64 * 1024 : least * 2, std::memory_order_relaxed);
  }
}

}  // namespace

void OpenOwnThreads() {
  g_start_thread = reinterpret_cast<ThreadStarter>(NextSymbol("pthread_create"));
  // Not for everybody, but other runtimes ask it as well; without it sizes are tried.
  auto* const least_of =
      reinterpret_cast<size_t (*)(const pthread_attr_t*)>(NextSymbol("__pthread_get_minstack"));
  if (least_of == nullptr) return;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  g_least_bytes.store(RoundUp(least_of(&attributes)));
  pthread_attr_destroy(&attributes);
}

bool StartOwnThread(const OwnThread& thread) {
  if (g_start_thread == nullptr || IsVforkChild()) return false;
  auto* start = static_cast<Start*>(OwnAllocate(sizeof(Start)));
  if (start == nullptr) return false;
  start->thread = thread;
  const SignalsBlocked blocked;
  int error = 0;
  if (thread.allocates) ListBooks();
  if (thread.allocates || !IsAllocating()) {
    // What glibc allocates for it is no task's.
    const HookScope scope;
    error = TryToStart(start);
  } else {
    error = TryToStart(start);
  }
  if (error != 0) OwnFree(start, sizeof(Start));
  return error == 0;
}

}  // namespace taskmem
