#include "shim/mapping_book/residency_timer.h"

#include <signal.h>

#include <atomic>

#include "accounting/base/futex.h"
#include "shim/base/os.h"
#include "shim/base/thread_count.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/residency_charges.h"
#include "shim/mapping_book/residency_watch.h"
#include "shim/own_threads/kept_thread.h"
#include "shim/own_threads/own_thread.h"
#include "shim/own_threads/slack_thread.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// The program has started a thread, and has not been seen without one since.
std::atomic<bool> g_has_threads{false};
std::atomic<bool> g_is_running{false};
std::atomic<uint32_t> g_attempts{0};

void Sample(void*) {
  for (;;) {
    AnswerRequestsUntil(DeadlineIn(static_cast<int64_t>(NextLookNs())));
    if (os::IsSealed() || !HasResidencyToSample() ||
        g_process_is_dying.load(std::memory_order_relaxed))
      break;
    StartKeptThreadIfWanted();
    // A program whose own threads but one are gone is left alone: some calls work only without
    // threads.
    const bool meets_quota = ResidencyMeetsQuota();
    if (ThreadCount() <= 2 && !meets_quota) {
      g_has_threads.store(false, std::memory_order_relaxed);
      break;
    }
    if (meets_quota) {
      WatchResidency();
    } else {
      SampleResidencyIfDue(/*is_urgent=*/false);
    }
  }
  g_is_running.store(false, std::memory_order_release);
}

void StartSampler() {
  if (os::IsSealed()) return;
  if (g_is_running.exchange(true, std::memory_order_acq_rel)) return;
  if (!StartOwnThread({"taskmem-sampler", Sample, nullptr, OwnThread::kStackBytes, true})) {
    g_is_running.store(false, std::memory_order_release);
  }
}

}  // namespace

void NoteProgramsThread() {
  if (g_stats != nullptr && HasRequest()) AnswerRequest();
  if (!g_has_threads.load(std::memory_order_relaxed)) {
    g_has_threads.store(true, std::memory_order_relaxed);
  }
  if (HasResidencyToSample() && !g_is_running.load(std::memory_order_relaxed)) StartSampler();
  NoteSlackAtRest();
}

void NoteResidencyRanges() {
  SampleResidencyIfDue(/*is_urgent=*/false);
  if (g_is_running.load(std::memory_order_relaxed) || HoldsBook()) return;
  if (!HasResidencyToSample()) return;
  if (!g_has_threads.load(std::memory_order_relaxed) && !ResidencyMeetsQuota()) return;
  // A handler may have interrupted whatever a thread's start needs; it most often blocks its
  // signal. A thread that blocks signals for good is asked no more than now and then.
  if (g_attempts.fetch_add(1, std::memory_order_relaxed) % 64 == 0 && !os::BlocksSignals()) {
    StartSampler();
  }
}

void ResidencyTimerAfterFork() {
  g_has_threads.store(false, std::memory_order_relaxed);
  g_is_running.store(false, std::memory_order_relaxed);
}

}  // namespace taskmem
