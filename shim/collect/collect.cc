#include "shim/collect/collect.h"

#include <sys/uio.h>

#include <cstdlib>
#include <cstring>

#include "accounting/base/debug.h"
#include "accounting/base/format_text.h"
#include "shim/base/os.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/contexts_of.h"
#include "shim/contexts/registry.h"
#include "shim/mimalloc/embed.h"
#include "shim/pages/lease.h"
#include "shim/pages/run_blocks.h"

namespace taskmem {

namespace {

inline void CollectPage(mi_page_queue_t* queue, mi_page_t* page, bool force) {
  if (IsLeased(page)) {
    TrimLease(page);
  } else {
    _mi_page_free_collect(page, force);
  }
  if (mi_page_all_free(page)) _mi_page_free(page, queue, force);
}

void CollectHeap(mi_heap_t* heap, bool force) {
  if (heap == nullptr) return;
  // A block whose free is under way waits for the next time: the thread that frees it may be
  // this one, interrupted by the handler that allocates here.
  constexpr int kMostTries = 16;
  for (int i = 0; i < kMostTries && !_mi_heap_delayed_free_partial(heap); ++i) mi_atomic_yield();
  _mi_heap_collect_retired(heap, force);
  if (heap->page_count == 0) return;
  for (mi_page_queue_t& queue : heap->pages) {
    for (mi_page_t* page = queue.first; page != nullptr;) {
      mi_page_t* const next = page->next;
      CollectPage(&queue, page, force);
      page = next;
    }
  }
}

}  // namespace

void CollectContext(Context* context, bool force) {
  AssertMayChange(context);
  const auto collect_pair = [force](Pair* pair) {
    EmptyRuns(pair);
    CollectHeap(pair->heap, force);
    CollectHeap(pair->overflow_heap, force);
  };
  for (uint32_t i = 0; i < context->pair_slots; ++i) {
    if (context->pairs[i] != nullptr) collect_pair(context->pairs[i]);
  }
  collect_pair(&context->untracked);
  CollectHeap(&context->shared.heap, force);
  CollectHeap(&context->sampled.heap, force);
  if (context->overflow != nullptr) CollectHeap(&context->overflow->shared.heap, force);
}

namespace {

// The first and last byte of the functions a signal may interrupt while they
// change a heap without saying so (malloc/fast_path.h).
extern "C" const char __start_taskmem_fast[] __attribute__((visibility("hidden")));
extern "C" const char __stop_taskmem_fast[] __attribute__((visibility("hidden")));

bool IsFastCode(uintptr_t word) {
  return word - reinterpret_cast<uintptr_t>(__start_taskmem_fast) <
         static_cast<uintptr_t>(__stop_taskmem_fast - __start_taskmem_fast);
}

// No word on the stack from `at` to `top` points into the fast path: no signal
// handler has interrupted it there.
bool StackIsClear(uintptr_t at, uintptr_t top) {
  constexpr size_t kChunkWords = 64;
  uintptr_t words[kChunkWords];
  at &= ~uintptr_t{7};
  while (at < top) {
    size_t bytes = top - at < sizeof(words) ? top - at : sizeof(words);
    bytes &= ~size_t{7};
    if (bytes == 0) return true;
    // Through the kernel: the thread may wake and unmap its stack.
    struct iovec local = {words, bytes};
    struct iovec remote = {reinterpret_cast<void*>(at), bytes};
    if (os::Call(SYS_process_vm_readv, os::ProcessId(), reinterpret_cast<long>(&local), 1,
                 reinterpret_cast<long>(&remote), 1, 0) != static_cast<long>(bytes)) {
      return false;
    }
    for (size_t i = 0; i < bytes / sizeof(uintptr_t); ++i) {
      if (IsFastCode(words[i])) return false;
    }
    at += bytes;
  }
  return true;
}

enum class ThreadSeen : uint8_t { kGone, kAwake, kBlocked };

// Where a thread is blocked in a system call.
struct BlockedAt {
  long call;
  uintptr_t stack;
  uintptr_t counter;
};

// The kernel says so of a thread that is off its processor, and stays there while it looks.
ThreadSeen LookAtThread(const Context* context, int tid, BlockedAt* at) {
  char path[48];
  char text[224];
  FormatText(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
  const long length = os::ReadFile(path, text, sizeof(text));
  if (length <= 0) return IsGone(context, tid) ? ThreadSeen::kGone : ThreadSeen::kAwake;
  // "<number> <six arguments> <stack pointer> <program counter>", or "running".
  if (text[0] < '0' || text[0] > '9') return ThreadSeen::kAwake;
  at->call = strtol(text, nullptr, 10);
  char* field = text;
  for (int i = 0; i < 7; ++i) {
    field = strchr(field, ' ');
    if (field == nullptr) return ThreadSeen::kAwake;
    ++field;
  }
  at->stack = strtoull(field, &field, 16);
  at->counter = strtoull(field, nullptr, 16);
  return ThreadSeen::kBlocked;
}

// A thread that is blocked there may be one that stays out of its context.
bool IsOnItsStack(const Context* context, const BlockedAt& at) {
  // A vfork child runs with the context of the thread that waits for it.
  if (at.call == SYS_vfork || at.call == SYS_clone || at.call == SYS_clone3) return false;
  constexpr uintptr_t kLargestStack = uintptr_t{256} << 20;
  return at.stack < context->stack_top && context->stack_top - at.stack <= kLargestStack;
}

// The context of a thread, locked, from owned to lent: borrow.h has the steps. kBlocked: it is
// lent now. kAwake: the thread is at work with it.
ThreadSeen Lend(Context* context) {
  if (context->is_lent) return ThreadSeen::kBlocked;
  const int tid = context->tid.load(std::memory_order_relaxed);
  BlockedAt at;
  ThreadSeen seen = LookAtThread(context, tid, &at);
  if (seen != ThreadSeen::kBlocked) return seen;
  if (!IsOnItsStack(context, at)) return ThreadSeen::kAwake;
  ThreadState* const thread = context->thread;
  TASKMEM_DELAY_POINT(lend_seen);
  thread->id.store(kNoContext, std::memory_order_seq_cst);
  __atomic_store_n(context->default_heap, EmptyHeap(), __ATOMIC_SEQ_CST);
  TASKMEM_DELAY_POINT(lend_stored);
  seen = LookAtThread(context, tid, &at);
  if (seen != ThreadSeen::kBlocked) return seen;
  if (!IsOnItsStack(context, at) || IsFastCode(at.counter) ||
      !StackIsClear(at.stack, context->stack_top)) {
    return ThreadSeen::kAwake;
  }
  const bool is_inside = thread->busy;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  TASKMEM_DELAY_POINT(lend_looks);
  if (is_inside || thread->id.load(std::memory_order_seq_cst) != kNoContext ||
      __atomic_load_n(context->default_heap, __ATOMIC_SEQ_CST) != EmptyHeap()) {
    return ThreadSeen::kAwake;
  }
  context->lent_pair = thread->pair;
  context->is_lent = true;
  TASKMEM_DELAY_POINT(lent);
  return ThreadSeen::kBlocked;
}

}  // namespace

void CollectAll(Context* context) {
  PurgeEndedPairs(context);
  CollectContext(context, /*force=*/true);
}

void CollectIfParked(Context* context, void (*collect)(Context*)) {
  if (context->tid.load(std::memory_order_relaxed) != 0 || !context->lock.TryLock()) return;
  if (context->tid.load(std::memory_order_relaxed) == 0) collect(context);
  context->lock.Unlock();
}

void CollectIfAsleep(Context* context, void (*collect)(Context*)) {
  if (os::IsFiltered()) return;
  if (context == t_thread.context || context->unwatched.load(std::memory_order_relaxed) ||
      context->tid.load(std::memory_order_relaxed) <= 0 || !context->lock.TryLock()) {
    return;
  }
  bool is_gone = false;
  if (context->tid.load(std::memory_order_relaxed) > 0) {
    const ThreadSeen seen = Lend(context);
    is_gone = seen == ThreadSeen::kGone;
    if (is_gone) BuryThread(context);
    if (seen != ThreadSeen::kAwake) collect(context);
  }
  context->lock.Unlock();
  if (is_gone) Park(context);
}

uint32_t CollectParked(uint32_t slot) {
  TASKMEM_DCHECK(t_thread.busy);
  const ContextsOf contexts(slot);
  for (uint32_t i = 0; i < contexts.size(); ++i) CollectIfParked(contexts[i]);
  return contexts.size();
}

uint32_t CollectSleepers(uint32_t slot) {
  TASKMEM_DCHECK(t_thread.busy);
  const ContextsOf contexts(slot);
  for (uint32_t i = 0; i < contexts.size(); ++i) CollectIfAsleep(contexts[i]);
  return contexts.size();
}

}  // namespace taskmem
