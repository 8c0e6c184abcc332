// The books of a forked child (books/after_fork.h), and the allocator's locks over fork
// (heap/heap.h).
#include "shim/books/after_fork.h"

#include <atomic>

#include "accounting/base/fork_locks.h"
#include "shim/base/os.h"
#include "shim/books/own_memory.h"
#include "shim/books/pools.h"
#include "shim/books/task_registry.h"
#include "shim/collect/orphan.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/contexts_of.h"
#include "shim/contexts/registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/malloc/walk.h"
#include "shim/pages/shared_page.h"
#include "shim/published/stats_fork.h"
#include "shim/published/stats_publish.h"

namespace taskmem {

namespace {

constexpr uint64_t kListAfterNs = 100'000'000;

// What was copied is not yet counted anew.
std::atomic<bool> g_is_uncounted{false};
std::atomic<bool> g_is_worth_listing{false};
std::atomic<uint64_t> g_taken_over_ns{0};

// This thread has its context's lock for a fork.
__thread bool t_fork_has_context __attribute__((tls_model("initial-exec"))) = false;

// The books were copied at some time after the fork: what the pages say is what this process
// has.
void TakeBooksFromHeaps() {
  static uint64_t bytes[kMaxTaskSlots];
  static uint64_t overflow_bytes[kMaxTaskSlots];
  static uint64_t pages[kMaxTaskSlots];
  const uint32_t slots = g_stats->task_slots.load();
  for (uint32_t i = 0; i < slots; ++i) bytes[i] = overflow_bytes[i] = pages[i] = 0;
  WalkHeaps(bytes, overflow_bytes);
  CountPagesInHeaps(pages);
  uint64_t total = 0;
  for (uint32_t i = 0; i < slots; ++i) {
    TaskBook& book = g_books[i];
    book.charged_bytes.store(bytes[i], std::memory_order_relaxed);
    book.peak_charged_bytes.store(bytes[i], std::memory_order_relaxed);
    book.peak_overdraft_bytes.store(book.Overdraft(), std::memory_order_relaxed);
    book.pages.store(pages[i], std::memory_order_relaxed);
    g_reclaim_books[i].overflow_bytes.store(overflow_bytes[i], std::memory_order_relaxed);
    total += bytes[i];
  }
  g_stats->charged_bytes.store(total, std::memory_order_relaxed);
  g_stats->peak_charged_bytes.store(total, std::memory_order_relaxed);
  t_thread.unposted_bytes = 0;
}

}  // namespace

// Signals are blocked: a handler could fork, and its child would find half of it.
void TakeBooksOver() {
  const os::SignalsBlocked blocked;
  std::atomic<Books>& books = g_fork_page->books;
  Books parents = Books::kParents;
  if (!books.compare_exchange_strong(parents, Books::kTaking)) {
    while (books.load(std::memory_order_acquire) == Books::kTaking) os::Yield();
    return;
  }
  if (g_fork_page->pid.load(std::memory_order_relaxed) == 0) FreeLocksOfOtherThreads();
  if (!StatsAfterFork()) {
    books.store(Books::kParents, std::memory_order_release);
    return;
  }
  books.store(Books::kUnlisted, std::memory_order_release);
  ContextsAfterFork();
  TaskRegistryAfterFork();
  PoolsAfterFork();
  t_thread.unposted_bytes = 0;
  g_taken_over_ns.store(os::MonotonicNs(), std::memory_order_relaxed);
  g_is_worth_listing.store(false, std::memory_order_relaxed);
  g_is_uncounted.store(true, std::memory_order_relaxed);
}

void SettleBooks() {
  EnsureOwnBooks();
  if (!HasOwnBooks() || IsVforkChild()) return;
  const bool is_old =
      os::MonotonicNs() - g_taken_over_ns.load(std::memory_order_relaxed) > kListAfterNs;
  const bool is_uncounted = g_is_uncounted.load(std::memory_order_relaxed);
  const bool lists = is_old || g_is_worth_listing.load(std::memory_order_relaxed);
  if (!is_uncounted && !lists) return;
  // A signal handler that interrupted the library waits for what it interrupted to end.
  if (t_thread.busy || IsInsidePools() || IsAmidMappingCall() || HoldsForkLocks()) return;
  const os::SignalsBlocked blocked;
  if (is_uncounted) {
    const InsideAllocator inside;
    AdaptMappingsAfterFork();
    TakeBooksFromHeaps();
    PoolsAfterFork();
    g_is_uncounted.store(false, std::memory_order_relaxed);
  }
  if (!lists) return;
  StatsList();
  g_fork_page->books.store(Books::kSettled, std::memory_order_relaxed);
}

void ListBooks() {
  EnsureSettledBooks();
  if (g_fork_page->books.load(std::memory_order_relaxed) != Books::kUnlisted || IsVforkChild()) {
    return;
  }
  const os::SignalsBlocked blocked;
  StatsList();
  if (!g_is_uncounted.load(std::memory_order_relaxed)) {
    g_fork_page->books.store(Books::kSettled, std::memory_order_relaxed);
  }
}

void NoteWorthListing() { g_is_worth_listing.store(true, std::memory_order_relaxed); }

// The books cannot be moved into a file any more: the other thread may be using them.
void NoteUnseenThread() {
  EnsureSettledBooks();
  if (g_fork_page->books.load(std::memory_order_relaxed) != Books::kUnlisted) return;
  StatsKeepUnlisted();
}

void HeapBeforeFork() {
  // Nobody collects this thread's context while it is copied. A handler that forks may have
  // interrupted a change that has the lock.
  Context* own = t_thread.context;
  t_fork_has_context = false;
  if (own == nullptr) return;
  const InsideAllocator inside;
  if (own->lock.IsHeldByThisThread()) return;
  own->lock.Lock();
  t_fork_has_context = true;
  TakeBack();
}

void AddHeapLocks(ForkLocks* locks) {
  locks->Add(TaskRegistryMutex());
  locks->Add(TaskPagesMutex());
  locks->Add(ContextsMutex());
  locks->Add(SlotPairsMutex());
  locks->Add(g_orphan_mutex);
  locks->Add(SharedPagesMutex());
  locks->Add(OwnMemoryMutex());
}

void HeapAfterForkInParent() {
  if (!t_fork_has_context) return;
  t_fork_has_context = false;
  t_thread.context->lock.Unlock();
}

void HeapAfterForkInChild() {
  if (t_fork_has_context) t_thread.context->lock.ResetAfterFork(0);
  t_fork_has_context = false;
  g_fork_page->pid.store(static_cast<uint32_t>(os::ProcessId()), std::memory_order_relaxed);
  g_fork_page->context.store(t_thread.context, std::memory_order_relaxed);
  // A handler that forks may have interrupted this thread after it asked whose the books are and
  // before it wrote to them: it goes on with books of its own.
  if (t_thread.busy || IsInsidePools() || IsAmidMappingCall()) EnsureOwnBooks();
}

}  // namespace taskmem
