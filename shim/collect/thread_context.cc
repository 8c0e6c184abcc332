#include "shim/collect/thread_context.h"

#include <unistd.h>

#include <atomic>

#include "accounting/base/debug.h"
#include "accounting/base/round_up.h"
#include "shim/base/os.h"
#include "shim/base/small_space.h"
#include "shim/books/after_fork.h"
#include "shim/collect/collect.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/embed.h"
#include "shim/segments/held_pages.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {

std::atomic<bool> g_opened{false};
bool g_open_failed = false;

// The library's tables, which are zero at first (section_order.txt), up to its end.
extern "C" __attribute__((visibility("hidden"))) char __bss_start[];
extern "C" __attribute__((visibility("hidden"))) char _end[];

void UseSmallPagesForTables() {
  constexpr uintptr_t kPageBytes = 4096;
  const uintptr_t start = RoundUp(reinterpret_cast<uintptr_t>(__bss_start), kPageBytes);
  const uintptr_t end = reinterpret_cast<uintptr_t>(_end) & ~(kPageBytes - 1);
  os::UseSmallPages(reinterpret_cast<void*>(start), end - start);
}

}  // namespace

bool OpenOnce() {
  if (g_opened.load(std::memory_order_acquire)) return !g_open_failed;
  MutexLock lock(ContextsMutex());
  if (!g_opened.load(std::memory_order_relaxed)) {
    ChooseHeap();
    g_open_failed = g_libc_heap != nullptr;
    if (!g_open_failed) {
      UseSmallPagesForTables();
      g_open_failed = !StatsOpen();
    }
    if (!g_open_failed) {
      g_process_id.store(static_cast<int>(g_stats->pid), std::memory_order_relaxed);
    }
    StartMimalloc();
    OpenSlack();
    g_opened.store(true, std::memory_order_release);
  }
  return !g_open_failed;
}

void UsePair(Context* context, Pair* pair) {
  ThreadState& t = t_thread;
  TASKMEM_DCHECK(t.busy);
  t.pair = pair;
  TASKMEM_DELAY_POINT(use_pair);
  _mi_heap_default = pair->front;
  ShowThread(*context, pair->slot + 1);
}

namespace {

void NoteThreadOfTask(const Context& context, uint32_t slot) {
  TaskSlot& task = g_task_slots[slot];
  uint32_t none = 0;
  if (!task.first_thread.compare_exchange_strong(none, context.index + 1) &&
      none != context.index + 1) {
    task.has_more_threads.store(true, std::memory_order_seq_cst);
  }
}

// The threads of the contexts for which `wanted` holds take the slow path next.
template <typename Wanted, typename Change>
void PokeThreads(Wanted wanted, Change change) {
  const InsideAllocator inside;
  for (uint32_t i = 0; i < ContextCount(); ++i) {
    Context* context = ContextAt(i);
    // An unwatched thread may be gone, and its TLS with it: it notices by itself,
    // at its next slow path.
    if (context == t_thread.context || context->unwatched.load() || !wanted(i) ||
        context->lock.IsHeldByThisThread()) {
      continue;
    }
    // With the lock held the thread does not end, other than by the bare system call: its TLS
    // is there while it lives.
    context->lock.Lock();
    bool is_gone = false;
    const int tid = context->tid.load(std::memory_order_relaxed);
    if (tid > 0) {
      is_gone = IsGone(context, tid);
      if (is_gone) {
        BuryThread(context);
      } else {
        change(*context->thread);
        __atomic_store_n(context->default_heap, EmptyHeap(), __ATOMIC_SEQ_CST);
      }
    }
    context->lock.Unlock();
    if (is_gone) Park(context);
  }
}

}  // namespace

bool SwitchTask(uint64_t id, uint32_t slot, uint32_t generation) {
  ThreadState& t = t_thread;
  Context* context = t.context != nullptr ? t.context : EnterThread();
  if (context == nullptr) return false;
  EnsureSettledBooks();
  const InsideAllocator inside;
  Pair* pair = PairFor(context, id, slot, generation);
  if (pair == nullptr) return false;
  t.keeps_ended_task = false;
  UsePair(context, pair);
  // Before the end of the task is looked for: an end that comes later sees
  // this thread and pokes it, one that came before is noticed in MallocGeneric.
  if (slot != kUntrackedSlot) NoteThreadOfTask(*context, slot);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (HasEnded(*pair)) _mi_heap_default = EmptyHeap();
  return true;
}

void PokeThreadsOf(uint32_t slot) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const TaskSlot& task = g_task_slots[slot];
  if (!task.has_more_threads.load(std::memory_order_seq_cst)) {
    const uint32_t first = task.first_thread.load(std::memory_order_seq_cst);
    if (first == 0 || ContextAt(first - 1) == t_thread.context) return;
  }
  PokeThreads(
      [slot](uint32_t index) {
        return g_thread_entries[index].slot_plus_one.load(std::memory_order_relaxed) == slot + 1;
      },
      [](ThreadState&) {});
}

void AskThreadsToCheckTheirNames() {
  PokeThreads([](uint32_t) { return true; }, [](ThreadState& thread) { thread.check_name = true; });
}

void PokePoolThreads() {
  PokeThreads([](uint32_t index) { return ContextAt(index)->is_pool_thread.load(); },
              [](ThreadState&) {});
}

namespace {

// The first context is made as the books are.
int ProcessIdAtEntry(const Context* context) {
  const bool is_first = context->index == 0 && g_stats->program[0] == '\0';
  return is_first || os::IsSealed() ? static_cast<int>(g_stats->pid) : os::ProcessId();
}

}  // namespace

Context* EnterThread() {
  ThreadState& t = t_thread;
  if (t.phase == ThreadPhase::kEnded || t.busy || !OpenOnce()) return nullptr;
  EnsureOwnBooks();
  Context* context = nullptr;
  {
    const InsideAllocator inside;
    const int tid = os::ThreadId();
    t_tid_in_passage = tid;
    // The library's own threads have contexts of their own: a forked child, which cannot use
    // those of its parent's other threads, loses nothing of the program's by them.
    const bool is_own = t.birth != nullptr && t.birth->is_taskmems;
    context = t.birth == nullptr ? TakeFromDead(/*all_unwatched=*/true) : nullptr;
    if (context == nullptr) context = TakeParked(is_own);
    if (context == nullptr && !is_own) context = TakeFromDead(/*all_unwatched=*/false);
    // What others freed into it while it was parked makes whole pages free.
    if (context != nullptr) CollectContext(context, /*force=*/false);
    if (context == nullptr) context = MakeListedContext();
    if (context == nullptr) return nullptr;
    context->is_own_threads = is_own;
    context->is_pool_thread.store(false, std::memory_order_relaxed);
    context->thread = &t;
    context->default_heap = &_mi_heap_default;
    const bool is_main = tid == ProcessIdAtEntry(context);
    if (t.birth == nullptr && !is_main) NoteUnseenThread();
    // The thread's control block lies above its stack; the environment above main's.
    context->stack_top = is_main && environ != nullptr
                             ? reinterpret_cast<uintptr_t>(environ)
                             : reinterpret_cast<uintptr_t>(__builtin_thread_pointer());
    // Nothing else lies within that distance of main's, of others' as much as they began with.
    context->known_stack_bytes = is_main              ? uint64_t{1} << 20
                                 : t.birth != nullptr ? t.birth->stack_bytes
                                                      : 0;
    context->unwatched.store(t.birth == nullptr && !is_main, std::memory_order_relaxed);
    t.context = context;
    t.own_number = context->number;
    t.phase = ThreadPhase::kReady;
    t.pair = &context->untracked;
    t.signals_at_start = os::BlockedFatalSignals() != 0;
    t.id.store(context->number, std::memory_order_release);
    UsePair(context, t.pair);
    int shown;
    do {
      shown = t_tid_in_passage;
      g_thread_entries[context->index].tid.store(static_cast<uint32_t>(shown));
      context->tid.store(shown, std::memory_order_release);
    } while (t_tid_in_passage != shown);
    t_tid_in_passage = 0;
    context->lock.Unlock();
    CountThread();
  }
  ThreadEntered();
  return context;
}

void LeaveThread() {
  ThreadState& t = t_thread;
  Context* context = t.context;
  if (context == nullptr) return;
  EnsureSettledBooks();
  const InsideAllocator inside;
  {
    t_tid_in_passage = context->tid.load(std::memory_order_relaxed);
    const ContextLock lock(context);
    TASKMEM_DELAY_POINT(leave_thread);
    PostTotal();
    t.id.store(kNoContext, std::memory_order_relaxed);
    t.phase = ThreadPhase::kEnded;
    t.pair = nullptr;
    _mi_heap_default = EmptyHeap();
    ShowThread(*context, 0);
    PurgeEndedPairs(context);
    CollectContext(context, /*force=*/false);
    ReleaseHeldPages(context);
    t.context = nullptr;
    t.own_number = 0;
    context->is_lent = false;
    context->thread = nullptr;
    context->default_heap = nullptr;
    context->tid.store(0, std::memory_order_relaxed);
  }
  t_tid_in_passage = 0;
  TASKMEM_DELAY_POINT(park);
  Park(context);
  UncountThread();
  PostTotal();
}

}  // namespace taskmem
