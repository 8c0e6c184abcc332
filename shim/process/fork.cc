// What fork() does, in its order:
//
//   the program's handlers       may wait for threads that allocate
//   our handler                  stdio's list of FILEs; no more signals; our locks
//   glibc                        its lock on nsswitch.conf, stdio's list again, its malloc's locks
//   the fork
//   glibc, our handler           all of that back
//   the program's handlers
//
// So that nobody waits in a circle, each comes after everything whose holder may wait for it:
//
//   the program's locks   in our slow path, a thread may hold any: our handler is the last before
//                         the fork and the first after it, because it is registered before any
//                         other (__register_atfork)
//   the list of FILEs     who has it waits for FILEs, whose holders read lines into memory of
//                         ours; no holder of our locks uses stdio
//   our locks             in their own order (README.md); no holder waits for anything else
//   glibc's other locks   their holders neither allocate nor wait
//   the table of handlers its lock is held over realloc: registrations have a lock of ours outside
//                         of it, which our handler takes in front of the list of FILEs
//
// A signal handler may fork wherever it interrupts. Between our handlers there are no signals.
// Elsewhere it may have interrupted its own thread inside one of our locks: that lock is left
// alone (ForkLocks). Because that is out of order, such a thread has precedence: another that
// forks and does not get a lock gives back what it has, and lets it go first. Two such threads
// may want each other's: what a lock guards is made whole by the code that was interrupted in it,
// which goes on when its handler's fork has returned, and that waits for the other's. No order
// helps; signals that are blocked around each lock would, at two system calls a time. So they
// wait with a bound, and then the child finds what that lock guards as it is, half changed at the
// worst.
//
// Without threads nobody else holds a lock, and nothing is taken.
#include "shim/process/fork.h"

#include <sys/single_threaded.h>

#include "accounting/base/fork_locks.h"
#include "shim/base/next_symbol.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/pools.h"
#include "shim/engines/engines.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/options/spill_files.h"
#include "shim/overflow/overflow.h"
#include "shim/own_threads/own_stack.h"
#include "shim/sites/unloaded_libraries.h"
#include "shim/spilling/block_pins.h"
#include "shim/spilling/block_store.h"
#include "shim/spilling/spill_host.h"
#include "shim/tasks/thread_tasks.h"

extern "C" {
// glibc's, for those who keep FILEs in step with fork. Recursive.
void _IO_list_lock();
void _IO_list_unlock();
void _IO_list_resetlock();

using ForkHandler = void (*)();
using RegisterHandlers = int (*)(ForkHandler, ForkHandler, ForkHandler, void*);

__attribute__((visibility("hidden"))) extern void* __dso_handle;
}

namespace taskmem {
namespace {

// Long enough for any thread to get its turn and give a lock back.
constexpr int64_t kPatienceNs = 10'000'000'000;
// Of a signal handler that interrupted its thread inside a lock.
constexpr int64_t kAmidPatienceNs = 200'000'000;
// After which a thread looks whether another has precedence.
constexpr int64_t kLookNs = 5'000'000;

// Threads that fork and were interrupted inside a lock.
std::atomic<uint32_t> g_amid{0};
// Forks of this thread among them: a handler may interrupt one before its signals are blocked.
__thread uint32_t t_amid __attribute__((tls_model("initial-exec"))) = 0;

void CountAmid(int change) {
  t_amid += static_cast<uint32_t>(change);
  g_amid.fetch_add(static_cast<uint32_t>(change), std::memory_order_relaxed);
}

constinit Mutex g_registration_mutex;

struct Forking {
  bool has_locks;
  bool is_amid;
  uint64_t signals;  // blocked before
};
__thread Forking t_forking __attribute__((tls_model("initial-exec")));

void AddAllLocks(ForkLocks* locks) {
  AddEngineLocks(locks);
  AddBlockPinLocks(locks);
  AddBlockStoreLocks(locks);
  AddSpillFileLocks(locks);
  AddThreadLocks(locks);
  AddSiteLocks(locks);
  AddHeapLocks(locks);
  AddOverflowLocks(locks);
  AddSpillHookLocks(locks);
  AddMappingLocks(locks);
}

uint64_t SetSignals(uint64_t blocked) {
  uint64_t before = 0;
  os::Call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&blocked),
           reinterpret_cast<long>(&before), sizeof(blocked));
  return before;
}

void GiveBack(ForkLocks* locks) {
  locks->UnlockAll();
  HeapAfterForkInParent();
  const uint64_t signals = t_forking.signals;
  if (t_forking.is_amid) CountAmid(-1);
  t_forking = {};
  SetSignals(signals);
  _IO_list_unlock();
  g_registration_mutex.UnlockAfterFork();
}

// False: another thread has precedence, and nothing was taken.
bool TakeAll(ForkLocks* locks, bool is_amid, int64_t deadline_ns) {
  if (is_amid) CountAmid(1);
  g_registration_mutex.LockForFork(is_amid ? kAmidPatienceNs : kPatienceNs);
  _IO_list_lock();
  t_forking.signals = SetSignals(~uint64_t{0});
  t_forking.is_amid = is_amid;
  HeapBeforeFork();
  // Not counted is how long the list of FILEs took.
  if (is_amid) deadline_ns = DeadlineIn(kAmidPatienceNs);
  while (!locks->LockAll(kLookNs) && MonotonicNs() < deadline_ns) {
    if (is_amid || g_amid.load(std::memory_order_relaxed) == 0) continue;
    GiveBack(locks);
    return false;
  }
  t_forking.has_locks = true;
  return true;
}

void BeforeFork() {
  if (__libc_single_threaded != 0) return;
  // What nobody uses is not copied, nor is it the child's for good.
  LetKeptMemoryGo(/*all=*/true);
  ForkLocks locks;
  AddAllLocks(&locks);
  const bool is_amid = locks.HoldsAny() || IsInsidePools();
  const int64_t deadline_ns = DeadlineIn(kPatienceNs);
  while (!TakeAll(&locks, is_amid, deadline_ns)) {
    // Woken by nobody: it is a moment, and rare.
    const struct timespec nap = {0, 1'000'000};
    os::Call(SYS_nanosleep, reinterpret_cast<long>(&nap), 0);
  }
  OverflowBeforeFork();
}

void AfterForkInParent() {
  if (!t_forking.has_locks) return;
  OverflowAfterForkInParent();
  ForkLocks locks;
  AddAllLocks(&locks);
  GiveBack(&locks);
  OverflowAwaitChild();
}

void BeginChild() {
  // Until then there is no file of the child's to be made.
  SpillFilesAfterForkInChild();
  // Before anything is looked at that lies in the overflow file.
  OverflowRestoreInChild();
  HeapAfterForkInChild();
  SpillHooksAfterForkInChild();
  BlockStoreAfterForkInChild();
  OverflowRestartInChild();
}

void AfterForkInChild() {
  const bool has_locks = t_forking.has_locks;
  if (has_locks) {
    t_forking.has_locks = false;
    if (t_forking.is_amid) --t_amid;
    g_amid.store(t_amid, std::memory_order_relaxed);
    FreeLocksOfOtherThreads();
    // glibc does that only where it has seen threads itself.
    _IO_list_resetlock();
    KeptMemoryAfterFork();
  }
  OwnStacksAfterForkInChild();
  if (g_stats != nullptr) BeginChild();
  if (has_locks) SetSignals(t_forking.signals);
}
RegisterHandlers NextRegister() {
  static std::atomic<void*> cache;
  void* next = cache.load(std::memory_order_acquire);
  if (next == nullptr) {
    next = NextSymbol("__register_atfork");
    cache.store(next, std::memory_order_release);
  }
  return reinterpret_cast<RegisterHandlers>(next);
}

}  // namespace

void RegisterForkHandlers() {
  static std::atomic<bool> is_registered{false};
  if (is_registered.exchange(true)) return;
  NextRegister()(BeforeFork, AfterForkInParent, AfterForkInChild, &__dso_handle);
}

bool HoldsForkLocks() {
  ForkLocks locks;
  AddAllLocks(&locks);
  return locks.HoldsAny();
}

void FreeLocksOfOtherThreads() {
  ForkLocks locks;
  AddAllLocks(&locks);
  locks.ResetAll();
  g_registration_mutex.ResetAfterFork();
}

}  // namespace taskmem

// What pthread_atfork calls.
extern "C" __attribute__((visibility("default"))) int __register_atfork(ForkHandler prepare,
                                                                        ForkHandler parent,
                                                                        ForkHandler child,
                                                                        void* dso_handle) {
  taskmem::RegisterForkHandlers();
  const bool is_amid = taskmem::g_registration_mutex.IsHeldByThisThread();
  if (!is_amid) taskmem::g_registration_mutex.Lock();
  const int error = taskmem::NextRegister()(prepare, parent, child, dso_handle);
  if (!is_amid) taskmem::g_registration_mutex.Unlock();
  return error;
}
