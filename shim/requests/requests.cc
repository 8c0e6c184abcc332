// What others ask of this process (accounting/audit/process_request.h, which has the protocol),
// carried out by whichever thread comes by first: one that enters malloc's slow path, maps memory,
// begins or looks up a task or starts a thread, or one of the library's own. A spill has a thread
// of its own, because hooks are promised a thread of their task's or one of the library's.
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>

#include <atomic>
#include <climits>

#include "accounting/audit/process_request.h"
#include "accounting/base/errno_keeper.h"
#include "accounting/base/futex.h"
#include "shim/base/os.h"
#include "shim/books/pools.h"
#include "shim/books/task_registry.h"
#include "shim/books/task_text.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/options/log.h"
#include "shim/own_threads/own_thread.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/spill_host.h"
#include "spill/reclaim/limit_policy.h"

namespace taskmem {
namespace {

// A copy: what stands in the segment may change at any time.
struct Wanted {
  ChangeKind kind;
  uint64_t task;
  uint64_t bytes;
};

struct Answer {
  int error = 0;
  uint64_t before = 0;
  uint64_t held = 0;
};

using ull = unsigned long long;

// In a file the word is shared with other processes.
void Wake() {
  if (os::IsSealed()) return;
  os::Call(SYS_futex, reinterpret_cast<long>(&g_stats->request.state), FUTEX_WAKE, INT_MAX);
}

void Give(const Answer& answer) {
  ProcessRequest& request = g_stats->request;
  request.error.store(static_cast<uint32_t>(answer.error), std::memory_order_relaxed);
  request.before.store(answer.before, std::memory_order_relaxed);
  request.held.store(answer.held, std::memory_order_relaxed);
  RequestState taken = RequestState::kTaken;
  request.state.compare_exchange_strong(taken, RequestState::kAnswered);
  Wake();
}

Answer SetQuota(const Wanted& wanted) {
  if (wanted.bytes == 0) return {EINVAL};
  const uint32_t slot = FindTask(wanted.task);
  if (slot == kUntrackedSlot) return {ENOENT};
  TaskBook& book = g_books[slot];
  const uint64_t before = book.quota_bytes.load();
  SetTaskQuota(slot, wanted.bytes);
  TaskBook::RaisePeak(book.peak_overdraft_bytes, book.Overdraft());
  LogLine(Log(), LogLevel::kInfo, "%s: quota set to %llu from outside, it was %llu",
          TaskText(book).c_str(), ull{wanted.bytes}, ull{before});
  return {0, before, book.charged_bytes.load()};
}

Answer SetMemoryOfProcess(const Wanted& wanted) {
  if (wanted.bytes == 0) return {EINVAL};
  const uint64_t before = SetMemory(wanted.bytes);
  if (before == 0) return {EBUSY};
  LogLine(Log(), LogLevel::kInfo, "--memory set to %llu from outside, it was %llu",
          ull{wanted.bytes}, ull{before});
  return {0, before, UsedOfMemory()};
}

Answer SetAtLimit(const Wanted& wanted) {
  if (wanted.bytes > static_cast<uint64_t>(AtLimit::kKill)) return {EINVAL};
  // One byte, which others read as they come by.
  auto action = static_cast<AtLimit>(wanted.bytes);
  AtLimit before = action;
  __atomic_exchange(&g_limit_policy.at_limit, &action, &before, __ATOMIC_RELAXED);
  LogLine(Log(), LogLevel::kInfo, "--at-limit set from outside: %llu, it was %u", ull{wanted.bytes},
          static_cast<unsigned>(before));
  return {0, static_cast<uint64_t>(before), 0};
}

// The process whose spill is under way; 0: there is none.
std::atomic<int> g_spills{0};
Wanted g_spill;  // of whoever has made that this process

// What a hook freed of a thread that runs is credited when that thread comes by: for a moment.
void AwaitCredits(const TaskBook& book, uint64_t before) {
  constexpr int kMostNaps = 40;
  for (int i = 0; i < kMostNaps && book.charged_bytes.load() >= before; ++i) {
    const timespec nap = {0, 5'000'000};
    os::Call(SYS_nanosleep, reinterpret_cast<long>(&nap), 0);
    CollectOtherContexts();
  }
}

void EndSpill(const Answer& answer) {
  g_spills.store(0, std::memory_order_release);
  Give(answer);
}

void Spill(void*) {
  // A hook may end its thread.
  pthread_cleanup_push([](void*) { EndSpill({EINTR}); }, nullptr);
  const uint32_t slot = FindTask(g_spill.task);
  Answer answer = {ENOENT};
  if (slot != kUntrackedSlot) {
    const TaskBook& book = g_books[slot];
    const uint64_t before = book.charged_bytes.load();
    const uint64_t bytes = g_spill.bytes < before ? g_spill.bytes : before;
    if (bytes != 0 && SpillTask(slot, bytes) == 0) AwaitCredits(book, before);
    answer = {0, before, book.charged_bytes.load()};
    LogLine(Log(), LogLevel::kInfo, "%s: a spill was asked for from outside: held %llu, holds %llu",
            TaskText(book).c_str(), ull{before}, ull{answer.held});
  }
  EndSpill(answer);
  pthread_cleanup_pop(0);
}

// 0: the answer comes later.
int StartSpill(const Wanted& wanted) {
  if (wanted.bytes == 0) return EINVAL;
  if (FindTask(wanted.task) == kUntrackedSlot) return ENOENT;
  if (!HasSpillHooks()) return ENOSYS;
  const int pid = os::ProcessId();
  int running = g_spills.load(std::memory_order_relaxed);
  // A child of a fork has none of its parent's threads.
  if (running == pid || !g_spills.compare_exchange_strong(running, pid)) return EBUSY;
  g_spill = wanted;
  if (StartOwnThread({"taskmem-spill", Spill, nullptr, OwnThread::kHookStackBytes, true})) return 0;
  g_spills.store(0, std::memory_order_release);
  return ENOMEM;
}

bool MayAnswer() {
  return !g_process_is_dying.load(std::memory_order_relaxed) && !IsVforkChild() &&
         !IsInsidePools() && !IsAmidMappingCall() && !HoldsForkLocks();
}

}  // namespace

__attribute__((noinline)) void AnswerRequest() {
  const ErrnoKeeper keeper;
  if (!MayAnswer()) return;
  ProcessRequest& request = g_stats->request;
  RequestState asked = RequestState::kAsked;
  if (!request.state.compare_exchange_strong(asked, RequestState::kTaken)) return;
  const Wanted wanted = {request.kind.load(std::memory_order_relaxed),
                         request.task.load(std::memory_order_relaxed),
                         request.bytes.load(std::memory_order_relaxed)};
  switch (wanted.kind) {
    case ChangeKind::kTaskQuota: return Give(SetQuota(wanted));
    case ChangeKind::kMemory: return Give(SetMemoryOfProcess(wanted));
    case ChangeKind::kAtLimit: return Give(SetAtLimit(wanted));
    case ChangeKind::kTaskSpill:
      if (const int error = StartSpill(wanted)) Give({error});
      return;
  }
  Give({EINVAL});
}

void AnswerRequestsUntil(int64_t deadline_ns) {
  const timespec until = {deadline_ns / 1'000'000'000, deadline_ns % 1'000'000'000};
  std::atomic<RequestState>& state = g_stats->request.state;
  while (MonotonicNs() < deadline_ns) {
    if (os::IsSealed() || g_process_is_dying.load(std::memory_order_relaxed)) return;
    const RequestState seen = state.load(std::memory_order_relaxed);
    if (seen == RequestState::kAsked) {
      AnswerRequest();
      os::Yield();
      continue;
    }
    os::Call(SYS_futex, reinterpret_cast<long>(&state), FUTEX_WAIT_BITSET, static_cast<long>(seen),
             reinterpret_cast<long>(&until), 0,
             static_cast<long>(static_cast<uint32_t>(FUTEX_BITSET_MATCH_ANY)));
  }
}

}  // namespace taskmem
