#include "shim/mapping_book/mapping_call.h"

#include "accounting/base/fork_locks.h"
#include "shim/books/after_fork.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mappings_table.h"
#include "shim/mapping_book/residency_look.h"
#include "shim/mapping_book/residency_timer.h"
#include "shim/mapping_book/unmapping.h"
#include "shim/own_threads/slack_thread.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

__thread uint32_t t_mapping_calls __attribute__((tls_model("initial-exec"))) = 0;

namespace {

// A child of a fork that ran no handlers (a raw system call) begins here, too.
void CheckFork() {
  std::atomic<uint32_t>& is_ours = g_fork_page->has_mapping_book;
  if (__builtin_expect(is_ours.load(std::memory_order_relaxed) != 0, 1)) return;
  // A signal handler amid it: what it interrupted is finished first.
  if (HoldsBook()) return;
  is_ours.store(1, std::memory_order_relaxed);
  LookAfterFork();
  ResidencyTimerAfterFork();
  SlackAfterFork();
  LetKeptMemoryGo(/*all=*/true);
  if (!g_book_place.is_made) return;
  const bool was_amid = !g_book_place.mutex.TryLock();
  g_book_place.mutex.ResetAfterFork();
  if (!was_amid) g_book_place.mutex.Unlock();
  // Torn. What was mapped before stays charged as it was.
  if (was_amid) LockedBook::Make();
  MappingsTableAfterFork();
  UnmappingsAfterFork();
  LengthChanges changes(ApplyLength);
  LockedBook()->AfterFork(&changes);
  changes.ApplyAll();
}

}  // namespace

MappingCall::MappingCall() {
  EnterHeap(nullptr);
  has_books_ = g_stats != nullptr;
  if (has_books_) {
    EnsureSettledBooks();
    CheckFork();
    if (HasRequest()) AnswerRequest();
  }
  ++t_mapping_calls;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void OpenMappings(int64_t residency_interval_ns) {
  OpenResidency(residency_interval_ns);
  CheckFork();
}

void AddMappingLocks(ForkLocks* locks) { locks->Add(g_book_place.mutex); }

void AdaptMappingsAfterFork() { CheckFork(); }

bool IsAmidMappingCall() { return t_mapping_calls != 0; }

}  // namespace taskmem
