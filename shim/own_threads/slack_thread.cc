#include "shim/own_threads/slack_thread.h"

#include "accounting/base/futex.h"
#include "shim/base/os.h"
#include "shim/base/thread_count.h"
#include "shim/books/slack.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/own_threads/kept_thread.h"
#include "shim/own_threads/own_thread.h"

namespace taskmem {
namespace {

// Less is not worth a thread.
constexpr uint64_t kLeastBytes = uint64_t{4} << 20;
// Slack is due about a second after it came.
constexpr int64_t kTickNs = 250'000'000;
constexpr int64_t kLastTickNs = 50'000'000;
constexpr int64_t kLongestTickNs = 4'000'000'000;
// Without any success the thread ends: what is left is that of threads that run.
constexpr int kMostIdleTicks = 8;

std::atomic<bool> g_is_running{false};

void Decay(void*) {
  uint64_t before = UINT64_MAX;
  int64_t tick = kTickNs;
  bool was_alone = false;
  for (int idle = 0; idle < kMostIdleTicks;) {
    AnswerRequestsUntil(DeadlineIn(tick));
    if (os::IsSealed() || g_process_is_dying.load(std::memory_order_relaxed)) break;
    // Some calls work only without threads: a program that is down to one of its own gets rid of
    // this one soon. The last of the others may be on its way to its end: there is a second look.
    const bool is_alone = ThreadCount() <= 2;
    const uint64_t left = DecaySlack(is_alone);
    if (is_alone ? was_alone : left < kLeastBytes) break;
    was_alone = is_alone;
    const bool is_idle = left >= before;
    idle = is_idle ? idle + 1 : 0;
    tick = is_alone ? kLastTickNs : !is_idle ? kTickNs : tick < kLongestTickNs ? tick * 2 : tick;
    before = left;
  }
  g_is_running.store(false, std::memory_order_release);
}

}  // namespace

void NoteSlackAtRest() {
  StartKeptThreadIfWanted();
  if (g_slack_bytes.load(std::memory_order_relaxed) < static_cast<int64_t>(kLeastBytes)) return;
  if (os::IsSealed() || g_process_is_dying.load(std::memory_order_relaxed)) return;
  if (g_is_running.load(std::memory_order_relaxed)) return;
  if (g_is_running.exchange(true, std::memory_order_acq_rel)) return;
  if (!StartOwnThread({"taskmem-decay", Decay, nullptr, OwnThread::kStackBytes, true})) {
    g_is_running.store(false, std::memory_order_release);
  }
}

void SlackAfterFork() { g_is_running.store(false, std::memory_order_relaxed); }

}  // namespace taskmem
