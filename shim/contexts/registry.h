// All contexts there are, which of them no thread has, and whose threads are gone.
//
// A context is made once and listed for good. It is parked, in one of two lists, while no thread
// has it: those of the library's own threads apart, so that a forked child, which cannot use what
// other threads of its parent had, loses nothing of the program's by them. A thread that ends by
// the bare system call parks nothing: it is noticed where its context is wanted, by collectors, by
// who ends its task, by new threads.
#ifndef TASKMEM_SHIM_CONTEXTS_REGISTRY_H_
#define TASKMEM_SHIM_CONTEXTS_REGISTRY_H_

#include <atomic>

#include "accounting/audit/stats_layout.h"
#include "accounting/base/mutex.h"
#include "shim/contexts/context.h"

namespace taskmem {

// Context i of all that were ever made is g_contexts[i], for i < g_context_count. Readers in other
// processes look there, too.
extern std::atomic<Context*> g_contexts[kMaxThreads];
extern std::atomic<uint32_t> g_context_count;
inline uint32_t ContextCount() { return g_context_count.load(std::memory_order_acquire); }
inline Context* ContextAt(uint32_t index) {
  return g_contexts[index].load(std::memory_order_acquire);
}

// Whose threads the contexts belong to: the process that made or inherited them.
extern std::atomic<int> g_process_id;

// This thread's number while it may have the lock of a context that is not yet, or not any more,
// its own. 0: it has none. A signal handler that forks changes it.
extern __thread volatile int t_tid_in_passage __attribute__((tls_model("initial-exec")));

// Guards the lists. For those who open the books, and for fork().
Mutex& ContextsMutex();

// A new context, listed and locked. nullptr: no memory, or there are too many.
Context* MakeListedContext();

// Takes one parked context off its list, locked, or returns nullptr; and puts one there that
// no thread has.
Context* TakeParked(bool for_own_thread);
void Park(Context* context);

// The context, locked, of a thread that is no more, or nullptr. All of unwatched threads are
// looked at where one begins, and some where a context would have to be made.
Context* TakeFromDead(bool all_unwatched);

// Whose thread that was, tells readers in other processes: the slot + 1 of its task; 0: no thread.
void ShowThread(const Context& context, uint32_t slot_plus_one);

// The thread with that number, whose context this was, has ended. False where that cannot be told.
bool IsGone(const Context* context, int tid);

// Its thread is no more: the context is as if it were parked, but not on the list. Under its lock.
void BuryThread(Context* context);

// In a forked child: the contexts of threads that do not exist here are left alone.
void ContextsAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_REGISTRY_H_
