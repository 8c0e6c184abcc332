#include "shim/overflow.h"

#include <errno.h>

#include "accounting/size_text.h"
#include "shim/after_fork.h"
#include "shim/log.h"
#include "shim/message.h"
#include "shim/os.h"
#include "shim/overflow_threads.h"
#include "shim/spill_files.h"
#include "spill/overflow_file.h"

namespace taskmem {

constinit OverflowRange g_overflow_range;
std::atomic<uint32_t> g_overflow_first{0};

namespace {

class FileInSpillDirectory final : public OverflowFileSource {
 public:
  int OpenUnlinked() override {
    int fd = -1;
    return SpillFiles()->OpenUnlinked(0, &fd) ? -1 : fd;
  }
};

constinit FileInSpillDirectory g_source;
constinit OverflowFile g_file;

uint64_t g_limit_bytes = 0;
AtThrashing g_at_thrashing = AtThrashing::kContinue;
std::atomic<bool> g_is_on{false};

// Opened by the first request; whoever comes meanwhile waits for that.
enum OpenState : uint32_t { kClosed, kOpening, kOpen, kUnusable };
std::atomic<uint32_t> g_open_state{kClosed};

// A request that failed is not repeated at once: what it needs is looked for on disk.
constexpr uint64_t kRetryNs = 100'000'000;
std::atomic<uint64_t> g_failed_bytes{UINT64_MAX};
std::atomic<uint64_t> g_retry_at_ns{0};
std::atomic<uint32_t> g_told{0};  // a bit for each OverflowStatus

// The pipe by which a child that is being made says that it has its copy.
int g_child_pipe[2] = {-1, -1};
bool g_is_pipe_needed = false;
__thread int t_await_fd __attribute__((tls_model("initial-exec"))) = -1;

void NoteFailure(OverflowStatus status, uint64_t bytes) {
  g_retry_at_ns.store(os::MonotonicNs() + kRetryNs, std::memory_order_relaxed);
  g_failed_bytes.store(bytes, std::memory_order_relaxed);
  const uint32_t bit = uint32_t{1} << static_cast<uint32_t>(status);
  if ((g_told.fetch_or(bit, std::memory_order_relaxed) & bit) != 0) return;
  Message("overflow: %s; %s do not fit, %s of %s are in use in %s", OverflowStatusText(status),
          SizeText(static_cast<int64_t>(bytes)).c_str(),
          SizeText(static_cast<int64_t>(g_file.used_bytes())).c_str(),
          SizeText(static_cast<int64_t>(g_file.limit_bytes())).c_str(), SpillFiles()->path());
}

void TurnOff() {
  g_is_on.store(false, std::memory_order_relaxed);
  g_overflow_first.store(0, std::memory_order_relaxed);
}

bool OpenFile() {
  uint32_t state = kClosed;
  if (!g_open_state.compare_exchange_strong(state, kOpening)) {
    while ((state = g_open_state.load(std::memory_order_acquire)) == kOpening) os::Yield();
    return state == kOpen;
  }
  const OverflowStatus status = g_file.Open(g_source, g_limit_bytes);
  if (status == OverflowStatus::kOk && OpenOverflowPager(g_file, g_at_thrashing)) {
    g_overflow_range.begin.store(g_file.begin(), std::memory_order_relaxed);
    g_overflow_range.bytes.store(g_file.reserved_bytes(), std::memory_order_release);
    g_open_state.store(kOpen, std::memory_order_release);
    return true;
  }
  Message("overflow is off: %s (%s)",
          status != OverflowStatus::kOk ? OverflowStatusText(status) : "no memory for its books",
          SpillFiles()->path());
  TurnOff();
  g_open_state.store(kUnusable, std::memory_order_release);
  return false;
}

// Its memory is the parent's, and its threads would not be.
bool IsOwnProcess() { return !IsVforkChild(); }

[[noreturn]] void DieInChild() {
  Message("overflow: a forked child finds neither disk space nor memory for its copy; ending it");
  for (;;) {
    os::Call(SYS_kill, os::ProcessId(), SIGKILL);
    os::Call(SYS_exit_group, 128 + SIGKILL);
  }
}

}  // namespace

void OpenOverflow(const Options& options) {
  if (options.overflow == Overflow::kOff || SpillFiles() == nullptr) return;
  bool in_memory = false;
  if (!SpillFiles()->IsInMemory(&in_memory) && in_memory) {
    Message("overflow is off: %s is kept in memory (tmpfs); give a --spill-dir on a disk",
            SpillFiles()->path());
    return;
  }
  g_limit_bytes = options.overflow_size_bytes;
  g_at_thrashing = options.at_thrashing;
  PrepareOverflowThreads();
  g_overflow_first.store(options.overflow == Overflow::kOn, std::memory_order_relaxed);
  g_is_on.store(true, std::memory_order_relaxed);
}

bool OverflowUsable(uint32_t slot, uint64_t bytes) {
  if (!g_is_on.load(std::memory_order_relaxed) || slot < kFirstTaskSlot) return false;
  if (bytes >= g_failed_bytes.load(std::memory_order_relaxed)) {
    if (os::MonotonicNs() < g_retry_at_ns.load(std::memory_order_relaxed)) return false;
    g_failed_bytes.store(UINT64_MAX, std::memory_order_relaxed);
  }
  return g_at_thrashing != AtThrashing::kRefuse || !IsTaskThrashing(slot);
}

void* TakeOverflowSegment(size_t bytes, size_t alignment, size_t align_offset) {
  if (g_open_state.load(std::memory_order_acquire) != kOpen && !OpenFile()) return nullptr;
  if (IsOwnProcess() && !StartOverflowThreads()) {
    TurnOff();
    return nullptr;
  }
  void* start = nullptr;
  const OverflowStatus status = g_file.Allocate(bytes, alignment, align_offset, &start);
  if (status != OverflowStatus::kOk) {
    NoteFailure(status, bytes);
    return nullptr;
  }
  OverflowGrows(start, bytes);
  return start;
}

void ReleaseOverflowSegment(void* start, size_t bytes) {
  g_file.Release(start);
  g_failed_bytes.store(UINT64_MAX, std::memory_order_relaxed);
  OverflowShrinks(start, bytes);
}

bool ExtendOverflowSegment(void* start, size_t old_bytes, size_t bytes) {
  const OverflowStatus status = g_file.Extend(start, bytes);
  if (status != OverflowStatus::kOk) return false;
  OverflowGrows(static_cast<char*>(start) + old_bytes, bytes - old_bytes);
  return true;
}

void ShrinkOverflowSegment(void* start, size_t old_bytes, size_t bytes) {
  g_file.Shrink(start, bytes);
  g_failed_bytes.store(UINT64_MAX, std::memory_order_relaxed);
  OverflowShrinks(static_cast<char*>(start) + bytes, old_bytes - bytes);
}

void NoteTakenInOverflow(uint64_t bytes) { OverflowTakes(bytes); }

void AddOverflowLocks(ForkLocks* locks) { g_file.AddLocks(locks); }

void OverflowBeforeFork() {
  if (g_open_state.load(std::memory_order_acquire) != kOpen) return;
  g_is_pipe_needed = g_file.BeforeFork();
  if (!g_is_pipe_needed) return;
  int fds[2] = {-1, -1};
  os::Call(SYS_pipe2, reinterpret_cast<long>(fds), O_CLOEXEC);
  g_child_pipe[0] = fds[0];
  g_child_pipe[1] = fds[1];
}

void OverflowAfterForkInParent() {
  if (g_open_state.load(std::memory_order_acquire) != kOpen) return;
  if (g_is_pipe_needed && g_child_pipe[0] >= 0) {
    // The child has the only writing end.
    os::Call(SYS_close, g_child_pipe[1]);
    t_await_fd = g_child_pipe[0];
  }
  g_file.AfterForkInParent();
}

void OverflowAwaitChild() {
  if (t_await_fd < 0) return;
  char done;
  long result;
  do {
    result = os::Call(SYS_read, t_await_fd, reinterpret_cast<long>(&done), 1);
  } while (result == -EINTR);
  os::Call(SYS_close, t_await_fd);
  t_await_fd = -1;
}

void OverflowRestoreInChild() {
  if (g_open_state.load(std::memory_order_acquire) != kOpen) {
    g_open_state.store(kClosed, std::memory_order_relaxed);
    return;
  }
  t_await_fd = -1;
  ForgetOverflowThreads();
  // Without the pipe the parent goes on writing while its memory is copied.
  if (g_is_pipe_needed && g_child_pipe[0] < 0) DieInChild();
  if (!g_file.RestoreInChild(g_source)) DieInChild();
  if (g_is_pipe_needed) {
    os::Call(SYS_close, g_child_pipe[0]);
    os::Call(SYS_close, g_child_pipe[1]);
  }
}

void OverflowRestartInChild() {
  if (g_open_state.load(std::memory_order_acquire) == kOpen && g_file.used_bytes() != 0) {
    ListBooks();
    StartOverflowThreads();
  }
}

}  // namespace taskmem
