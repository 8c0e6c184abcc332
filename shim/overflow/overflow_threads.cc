#include "shim/overflow/overflow_threads.h"

#include <sched.h>

#include <cstdio>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/futex.h"
#include "accounting/base/size_text.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/resident_pages.h"
#include "shim/books/task_text.h"
#include "shim/heap/heap.h"
#include "shim/options/log.h"
#include "shim/overflow/overflow_host.h"
#include "shim/own_threads/own_thread.h"
#include "shim/published/stats_end.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constinit OverflowHost g_host;
constinit OverflowPager g_pager;
OverflowFile* g_file = nullptr;
AtThrashing g_at_thrashing = AtThrashing::kContinue;

// 0: no threads, 1: being started, 2: they run, 3: they cannot be started.
std::atomic<uint32_t> g_threads{0};

// Grows to wake a thread.
std::atomic<uint32_t> g_look_calls{0};
std::atomic<uint32_t> g_write_calls{0};

// Taken from the file since the pager looked, and how much that may become before the taker
// waits for it to look again, for a while: on a busy machine its turn may be far.
constexpr uint64_t kLeastTaken = uint64_t{2} << 20;
std::atomic<uint64_t> g_taken_bytes{0};
std::atomic<uint64_t> g_taken_limit{kLeastTaken};
std::atomic<uint32_t> g_looks{0};
constexpr int64_t kLongestWaitNs = 5'000'000;

// Nothing writes faster than this into memory that is not there yet.
constexpr uint64_t kFastestBytesPerNs = 8;
constexpr uint64_t kShortestNs = 250'000;
constexpr uint64_t kLongestNs = 20'000'000;
// While something moves, everything is looked at this often, whatever the sum says.
constexpr uint64_t kScanNs = 500'000'000;
constexpr int64_t kWindowNs = 2'000'000'000;

// By slot: what its book said when the window began, and what came of it.
struct Window {
  uint64_t pushed_out_bytes;
  uint64_t returned_bytes;
  std::atomic<bool> is_thrashing;
};
constinit Window g_windows[kMaxTaskSlots] = {};

void Wake(std::atomic<uint32_t>& calls) {
  calls.fetch_add(1, std::memory_order_release);
  FutexWake(calls, 1);
}

// Returns the room that is left. On the pager's thread.
uint64_t Look(bool everywhere) {
  const uint64_t file_bytes = g_host.pages().Read().file;
  g_host.pages().Begin();
  if (everywhere) g_pager.Scan(file_bytes);
  g_pager.Look(file_bytes);
  g_host.pages().End();
  g_host.NoteResident(g_pager.resident_bytes());
  const uint64_t headroom = g_pager.Headroom(g_host.pages().Read().file);
  g_taken_limit.store(headroom / 2 > kLeastTaken ? headroom / 2 : kLeastTaken,
                      std::memory_order_relaxed);
  if (g_pager.cached_bytes() > g_host.CacheBytes()) Wake(g_write_calls);
  return headroom;
}

[[noreturn]] void ReportThrashingAndDie(uint32_t slot) {
  ReportSizeClasses(slot);
  StatsAtExit();
  os::KillThisProcess();
}

void NoteThrashing(uint32_t slot, uint64_t returned_bytes) {
  const TaskBook& book = g_books[slot];
  constexpr const char* kActions[] = {"it goes on", "nothing more of it goes there",
                                      "ending the process"};
  char line[256];
  snprintf(line, sizeof(line),
           "%s is thrashing: %s of its overflow memory came back from disk in %llu s; %s",
           TaskText(book).c_str(), OwnSizeText(returned_bytes).c_str(),
           static_cast<unsigned long long>(kWindowNs / 1'000'000'000),
           kActions[static_cast<int>(g_at_thrashing)]);
  LogLine(Log(), LogLevel::kWarn, "%s", line);
  if (g_at_thrashing != AtThrashing::kContinue) Message("%s", line);
  if (g_at_thrashing == AtThrashing::kKill) ReportThrashingAndDie(slot);
}

// At the end of a window of observation.
void JudgeThrashing() {
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = kFirstTaskSlot; slot < slots; ++slot) {
    const ReclaimBook& book = g_reclaim_books[slot];
    Window& window = g_windows[slot];
    const uint64_t pushed = book.pushed_out_bytes.load(std::memory_order_relaxed);
    const uint64_t returned = book.returned_bytes.load(std::memory_order_relaxed);
    if (pushed == window.pushed_out_bytes && returned == window.returned_bytes) {
      window.is_thrashing.store(false, std::memory_order_relaxed);
      continue;
    }
    // A slot that is another task's since counts anew.
    const bool is_same = pushed >= window.pushed_out_bytes && returned >= window.returned_bytes;
    const uint64_t quota = g_books[slot].quota_bytes.load(std::memory_order_relaxed);
    const uint64_t came_back = returned - window.returned_bytes;
    const bool is_thrashing =
        is_same && IsThrashing(pushed - window.pushed_out_bytes, came_back, quota);
    window.pushed_out_bytes = pushed;
    window.returned_bytes = returned;
    const bool was_thrashing = window.is_thrashing.exchange(is_thrashing);
    if (is_thrashing && !was_thrashing) NoteThrashing(slot, came_back);
  }
}

// The pager has little to do, and has to do it in time: a program may fill memory faster
// than a busy machine gives a thread its turn. A niceness counts among the threads of a group
// only (autogroups, cgroups), a real-time policy counts everywhere. Where the system allows
// neither: so be it.
void AskForShortLatency() {
  struct Attributes {
    uint32_t size = sizeof(Attributes);
    uint32_t policy = SCHED_OTHER;
    uint64_t flags = 0;
    int32_t nice = 0;
    uint32_t priority = 0;
    uint64_t runtime_ns = 0;  // of SCHED_OTHER: its slice, since Linux 6.12
    uint64_t deadline_ns = 0;
    uint64_t period_ns = 0;
  };
  const auto ask = [](const Attributes& attributes) {
    return !os::Failed(os::Call(SYS_sched_setattr, 0, reinterpret_cast<long>(&attributes), 0));
  };
  if (ask({.policy = SCHED_RR, .priority = 1})) return;
  if (ask({.nice = -15, .runtime_ns = 100'000})) return;
  ask({.runtime_ns = 100'000});
}

// What the pager knows from one turn to the next.
struct Watch {
  uint64_t file_bytes = 0;
  uint64_t scanned_ns = 0;
  uint64_t moved_ns = 0;
  bool has_helped = true;
};

// What is resident is told by one small file of /proc; only when that shows that a task may
// be above its share, the page table is looked at. Returns how long nothing needs to be done.
uint64_t TakeTurn(Watch* watch) {
  const ResidentBytes resident = g_host.pages().Read();
  const uint64_t now = os::MonotonicNs();
  const bool moves = resident.file != watch->file_bytes;
  watch->file_bytes = resident.file;
  if (moves) watch->moved_ns = now;
  g_host.NotePrivate(resident.other);
  if (moves) g_host.NoteLate(g_pager.Excess(resident.file));
  uint64_t headroom = g_pager.Headroom(resident.file);
  const bool is_old = moves && now - watch->scanned_ns > kScanNs;
  if (is_old || (headroom == 0 && (moves || watch->has_helped))) {
    headroom = Look(is_old);
    if (is_old) watch->scanned_ns = now;
    watch->has_helped = headroom != 0;
  }
  // Half of the room that is left cannot be filled before the next turn; and the longer
  // nothing has moved, the later that may be.
  const uint64_t full_ns = headroom / 2 / kFastestBytesPerNs;
  const uint64_t still_ns = (now - watch->moved_ns) / 8;
  const uint64_t wait = full_ns > still_ns ? full_ns : still_ns;
  return wait < kShortestNs ? kShortestNs : wait > kLongestNs ? kLongestNs : wait;
}

void RunPager(void*) {
  AskForShortLatency();
  g_host.pages() = ResidentPages();
  g_host.pages().TakeOwnDescriptors();
  Watch watch;
  for (;;) {
    const uint32_t calls = g_look_calls.load(std::memory_order_acquire);
    if (g_file->used_bytes() == 0) {
      FutexWait(g_look_calls, calls);
      continue;
    }
    g_taken_bytes.store(0, std::memory_order_relaxed);
    const uint64_t wait = TakeTurn(&watch);
    g_looks.fetch_add(1, std::memory_order_release);
    FutexWake(g_looks, INT_MAX);
    FutexWait(g_look_calls, calls, DeadlineIn(static_cast<int64_t>(wait)));
  }
}

// What it says goes to the program's descriptors, which this thread shares.
void RunWriter(void*) {
  uint64_t window_ends_ns = os::MonotonicNs() + uint64_t{kWindowNs};
  for (;;) {
    const uint32_t calls = g_write_calls.load(std::memory_order_acquire);
    const bool has_written = g_pager.WriteSome();
    if (os::MonotonicNs() >= window_ends_ns) {
      JudgeThrashing();
      window_ends_ns = os::MonotonicNs() + uint64_t{kWindowNs};
    }
    if (has_written) continue;
    const bool is_idle = g_file->used_bytes() == 0;
    FutexWait(g_write_calls, calls, is_idle ? kNoDeadline : DeadlineIn(kWindowNs));
  }
}

bool CreateAll() {
  const auto start = [](const char* name, void (*run)(void*)) {
    return StartOwnThread({name, run, nullptr, OwnThread::kStackBytes, /*allocates=*/false});
  };
  return start("taskmem-writer", RunWriter) && start("taskmem-pager", RunPager);
}

}  // namespace

bool OpenOverflowPager(OverflowFile& file, AtThrashing at_thrashing) {
  g_file = &file;
  g_at_thrashing = at_thrashing;
  g_host.Open(file);
  return g_pager.Open(g_host, file.reserved_bytes() / OverflowPager::kChunkBytes);
}

bool StartOverflowThreads() {
  enum : uint32_t { kNone, kStarting, kRunning, kFailed };
  uint32_t state = kNone;
  if (!g_threads.compare_exchange_strong(state, kStarting)) return state != kFailed;
  const ErrnoKeeper keeper;
  const bool created = CreateAll();
  if (!created) Message("overflow is off: its threads cannot be started");
  g_threads.store(created ? kRunning : kFailed);
  return created;
}

void OverflowGrows(const void* start, size_t bytes) {
  OverflowShrinks(start, bytes);
  Wake(g_look_calls);
}

void OverflowShrinks(const void* start, size_t bytes) {
  const auto distance = reinterpret_cast<uintptr_t>(start) - g_file->begin();
  g_pager.Forget(distance / OverflowPager::kChunkBytes, bytes / OverflowPager::kChunkBytes);
}

void OverflowTakes(uint64_t bytes) {
  const uint64_t taken = g_taken_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (taken <= g_taken_limit.load(std::memory_order_relaxed)) return;
  const uint32_t looks = g_looks.load(std::memory_order_acquire);
  Wake(g_look_calls);
  FutexWait(g_looks, looks, DeadlineIn(kLongestWaitNs));
}

bool IsTaskThrashing(uint32_t slot) {
  return g_windows[slot].is_thrashing.load(std::memory_order_relaxed);
}

void ForgetOverflowThreads() {
  g_threads.store(0);
  g_pager.ForgetAll();
  g_host.ForgetPrivate();
}

}  // namespace taskmem
