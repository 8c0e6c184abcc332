#include "shim/own_threads/kept_thread.h"

#include <sys/single_threaded.h>

#include <atomic>

#include "accounting/base/debug.h"
#include "shim/base/os.h"
#include "shim/base/thread_count.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/own_threads/own_thread.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr long kTickNs = 200'000'000;
// While nothing is kept: a new thread costs more than some looks.
constexpr int kMostIdleTicks = 10;
constexpr uint64_t kAloneNs = 10'000'000'000;

// In a forked child it is not there, and the page says so.
//
//   false -> true   who starts it, before it runs
//   true -> false   the thread, as its last step but one; then it looks whether somebody who saw
//                   it run has kept a segment, and if so goes on, unless another was started
std::atomic<bool>& Runs() { return g_fork_page->has_kept_thread; }

// Until then the program had no other thread, and is spared this one: some calls work only without.
std::atomic<uint64_t> g_alone_until_ns{0};

// Somebody who could not start it would have kept something.
std::atomic<bool> g_is_wanted{false};

// To start a thread takes more of the stack than other calls of the allocator; a fiber may have a
// page.
bool HasStackRoom() {
  constexpr uint64_t kNeededBytes = 16 * 1024;
  uint64_t top = 0;
  uint64_t known_bytes = 0;
  OwnStackEnd(&top, &known_bytes);
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  return here < top && top - here + kNeededBytes <= known_bytes;
}

void NoteAlone() {
  g_alone_until_ns.store(os::MonotonicNs() + kAloneNs, std::memory_order_relaxed);
}

// False: no more is kept, and the thread ends.
bool GoesOn(int* idle_ticks, bool* was_alone) {
  const struct timespec tick = {0, kTickNs};
  os::Call(SYS_nanosleep, reinterpret_cast<long>(&tick), 0);
  if (os::IsSealed() || g_process_is_dying.load(std::memory_order_relaxed)) return false;
  // The last of the others may be on its way to its end: there is a second look.
  const bool is_alone = ThreadCount() <= 2;
  const uint64_t left = LetKeptMemoryGo(/*all=*/is_alone);
  if (is_alone && *was_alone) {
    NoteAlone();
    return false;
  }
  *was_alone = is_alone;
  *idle_ticks = left == 0 ? *idle_ticks + 1 : 0;
  return *idle_ticks < kMostIdleTicks;
}

void LetSegmentsGo(void*) {
  do {
    int idle_ticks = 0;
    bool was_alone = false;
    while (GoesOn(&idle_ticks, &was_alone)) {
    }
    TASKMEM_DELAY_POINT(kept_thread_ends);
    Runs().store(false, std::memory_order_seq_cst);
    TASKMEM_DELAY_POINT(kept_thread_ended);
    if (os::IsSealed() || g_process_is_dying.load(std::memory_order_relaxed)) return;
  } while (LetKeptMemoryGo(/*all=*/false) != 0 && !Runs().exchange(true));
}

// Only while there are threads.
bool MayRun() {
  return __libc_single_threaded == 0 && !os::IsSealed() &&
         !g_process_is_dying.load(std::memory_order_relaxed) &&
         os::MonotonicNs() >= g_alone_until_ns.load(std::memory_order_relaxed);
}

bool Start() {
  // glibc does not say where they have ended, nor in a forked child.
  if (ThreadCount() <= 1) {
    NoteAlone();
    return false;
  }
  if (Runs().exchange(true)) return true;
  const bool is_started = StartOwnThread(
      {"taskmem-kept", LetSegmentsGo, nullptr, OwnThread::kStackBytes, /*allocates=*/false});
  if (!is_started) Runs().store(false, std::memory_order_seq_cst);
  return is_started;
}

}  // namespace

bool AwaitsKeptSegments() {
  if (Runs().load(std::memory_order_seq_cst)) return true;
  if (!MayRun()) return false;
  // A handler may have interrupted whatever a thread's start needs; it most often blocks its
  // signal. So do the threads of a JVM, for good: then one that does not starts it.
  if (os::BlocksSignals() || !HasStackRoom()) {
    g_is_wanted.store(true, std::memory_order_relaxed);
    return false;
  }
  return Start();
}

void StartKeptThreadIfWanted() {
  if (!g_is_wanted.load(std::memory_order_relaxed)) return;
  if (!g_is_wanted.exchange(false, std::memory_order_relaxed)) return;
  if (!Runs().load(std::memory_order_seq_cst) && MayRun()) Start();
}

}  // namespace taskmem
