#include "shim/contexts/registry.h"

#include "accounting/base/debug.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/mimalloc/embed.h"
#include "shim/published/stats_room.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

std::atomic<Context*> g_contexts[kMaxThreads];
std::atomic<uint32_t> g_context_count{0};
std::atomic<int> g_process_id{0};
__thread volatile int t_tid_in_passage __attribute__((tls_model("initial-exec"))) = 0;

namespace {

Mutex g_contexts_mutex;
Context* g_parked = nullptr;
Context* g_own_parked = nullptr;  // that the library's own threads had

// The file grows before the lock is taken, by about what may be needed meanwhile.
constexpr uint32_t kEntriesAhead = 8;

}  // namespace

Mutex& ContextsMutex() { return g_contexts_mutex; }

Context* MakeListedContext() {
  Context* context = MakeContext();
  if (context == nullptr) return nullptr;
  context->lock.LockUnlisted(static_cast<uint32_t>(t_tid_in_passage));
  const auto reserve = [] { StatsReserveThreads(g_context_count.load() + kEntriesAhead); };
  reserve();
  MutexLock lock(g_contexts_mutex);
  while (g_context_count.load(std::memory_order_relaxed) < kMaxThreads &&
         !StatsHasRoomForThreads(g_context_count.load(std::memory_order_relaxed) + 1)) {
    g_contexts_mutex.Unlock();
    reserve();
    g_contexts_mutex.Lock();
  }
  const uint32_t index = g_context_count.load(std::memory_order_relaxed);
  if (index == kMaxThreads) {
    OwnFree(context, sizeof(Context));
    return nullptr;
  }
  context->index = index;
  context->number = kFirstNumber + index;
  g_contexts[index].store(context, std::memory_order_release);
  g_context_count.store(index + 1, std::memory_order_release);
  g_stats->thread_entries.store(index + 1, std::memory_order_release);
  if (!context->lock.IsHeldBy(static_cast<uint32_t>(t_tid_in_passage))) {
    context->lock.LockUnlisted(static_cast<uint32_t>(t_tid_in_passage));
  }
  return context;
}

void ShowThread(const Context& context, uint32_t slot_plus_one) {
  EnsureOwnBooks();
  g_thread_entries[context.index].slot_plus_one.store(slot_plus_one, std::memory_order_relaxed);
}

Context* TakeParked(bool for_own_thread) {
  // One that nobody collects now, of the first few; else it waits for the first.
  constexpr int kLooks = 8;
  Context** const list = for_own_thread ? &g_own_parked : &g_parked;
  if (__atomic_load_n(list, __ATOMIC_RELAXED) == nullptr) return nullptr;
  Context* context = nullptr;
  {
    MutexLock lock(g_contexts_mutex);
    Context** place = list;
    for (int i = 0; i < kLooks && *place != nullptr; ++i, place = &(*place)->next_parked) {
      if (!(*place)->lock.TryLock()) continue;
      context = *place;
      *place = context->next_parked;
      return context;
    }
    context = *list;
    if (context != nullptr) *list = context->next_parked;
  }
  if (context != nullptr) context->lock.Lock();
  return context;
}

void Park(Context* context) {
  MutexLock lock(g_contexts_mutex);
  Context** const list = context->is_own_threads ? &g_own_parked : &g_parked;
  context->next_parked = *list;
  *list = context;
}

bool IsGone(const Context* context, int tid) {
  if (os::IsFiltered()) return false;
  // A child of vfork, or of a fork that ran no handlers, has other threads than the contexts. In
  // one that a signal handler has forked since the number was read it is no thread's: last of all
  // the context says whether it is still this one's.
  const int process = os::ProcessId();
  return process == g_process_id.load(std::memory_order_relaxed) &&
         os::Call(SYS_tgkill, process, tid, 0) == -ESRCH &&
         context->tid.load(std::memory_order_relaxed) == tid;
}

void BuryThread(Context* context) {
  context->tid.store(0, std::memory_order_relaxed);
  context->unwatched.store(false, std::memory_order_relaxed);
  context->thread = nullptr;
  context->default_heap = nullptr;
  context->is_lent = false;
  ShowThread(*context, 0);
  UncountThread();
}

Context* TakeFromDead(bool all_unwatched) {
  constexpr uint32_t kLooks = 4;
  static std::atomic<uint32_t> next{0};
  const uint32_t count = ContextCount();
  if (count == 0) return nullptr;
  const auto take = [](Context* context) {
    const int tid = context->tid.load(std::memory_order_relaxed);
    if (tid <= 0 || !IsGone(context, tid) || !context->lock.TryLock()) return false;
    // Nobody has taken it over meanwhile.
    if (IsGone(context, tid)) {
      BuryThread(context);
      return true;
    }
    context->lock.Unlock();
    return false;
  };
  if (all_unwatched) {
    for (uint32_t i = 0; i < count; ++i) {
      Context* context = ContextAt(i);
      if (context->unwatched.load(std::memory_order_relaxed) && take(context)) return context;
    }
    return nullptr;
  }
  for (uint32_t i = 0; i < kLooks && i < count; ++i) {
    Context* context = ContextAt(next.fetch_add(1, std::memory_order_relaxed) % count);
    if (take(context)) return context;
  }
  return nullptr;
}

void ContextsAfterFork() {
  // The thread that forked, which is alone here; and its number in the parent.
  const uint32_t pid = g_fork_page->pid.load(std::memory_order_relaxed);
  const auto* const own =
      pid != 0 ? static_cast<Context*>(g_fork_page->context.load(std::memory_order_relaxed))
               : t_thread.context;
  const uint32_t self = pid != 0 ? pid : static_cast<uint32_t>(os::ThreadId());
  const auto forker =
      static_cast<uint32_t>(t_tid_in_passage != 0 ? t_tid_in_passage
                            : own != nullptr      ? own->tid.load(std::memory_order_relaxed)
                                                  : static_cast<int>(self));
  if (t_tid_in_passage != 0) t_tid_in_passage = static_cast<int>(self);
  g_process_id.store(os::ProcessId(), std::memory_order_relaxed);
  // Of the parked ones those that somebody was collecting may be in any state.
  for (Context** place : {&g_parked, &g_own_parked}) {
    while (Context* context = *place) {
      if (context->lock.IsHeld() && !context->lock.IsHeldBy(forker)) {
        context->tid.store(-1, std::memory_order_relaxed);
        *place = context->next_parked;
      } else {
        place = &context->next_parked;
      }
    }
  }
  const uint32_t count = ContextCount();
  g_stats->thread_entries.store(count, std::memory_order_relaxed);
  for (uint32_t i = 0; i < count; ++i) {
    Context* context = ContextAt(i);
    const bool is_held = context->lock.IsHeld();
    // A handler that forks may have interrupted this thread while it had a lock.
    const bool is_own = is_held && context->lock.IsHeldBy(forker);
    context->lock.ResetAfterFork(is_own ? self : 0);
    if (context == own) {
      context->tid.store(static_cast<int>(self), std::memory_order_relaxed);
      g_thread_entries[i].tid.store(self);
      const Pair* const pair = context->thread->pair;
      if (pair != nullptr) ShowThread(*context, pair->slot + 1);
    } else if (context->tid.load(std::memory_order_relaxed) != 0 || (is_held && !is_own)) {
      // Its thread may have been in the middle of anything. Frees into it stay safe.
      context->tid.store(-1, std::memory_order_relaxed);
    }
  }
}

}  // namespace taskmem
