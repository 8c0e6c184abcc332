#include "shim/overflow/overflow.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/wait.h>

#include "accounting/base/size_text.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/overflow_book.h"
#include "shim/heap/upcalls.h"
#include "shim/options/log.h"
#include "shim/options/spill_files.h"
#include "shim/overflow/overflow_threads.h"
#include "spill/overflow/overflow_file.h"

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
bool g_may_open = false;  // set as the program starts
std::atomic<bool> g_is_on{false};

// Opened by the first request; whoever comes meanwhile waits for that.
enum OpenState : uint32_t { kClosed, kOpening, kOpen, kUnusable };
std::atomic<uint32_t> g_open_state{kClosed};

// A request that failed is not repeated at once: what it needs is looked for on disk.
constexpr uint64_t kRetryNs = 100'000'000;
std::atomic<uint64_t> g_failed_bytes{UINT64_MAX};
std::atomic<uint64_t> g_retry_at_ns{0};
std::atomic<uint32_t> g_told{0};  // a bit for each OverflowStatus

// A page that a forking process shares with its child, which says there that it has its copy.
// It needs no descriptor, of which there may be none, and no other child has it to keep.
struct ChildSign {
  std::atomic<uint32_t> has_copy;
  std::atomic<int> pid;  // as the child knows it; 0 before it runs
};
ChildSign* g_child_sign = nullptr;  // of the fork that has the locks
bool g_is_sign_needed = false;
int g_errno_before = 0;
__thread ChildSign* t_awaited_sign __attribute__((tls_model("initial-exec"))) = nullptr;

ChildSign* MakeChildSign() {
  const long page = os::Call(SYS_mmap, 0, sizeof(ChildSign), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return os::Failed(page) ? nullptr : reinterpret_cast<ChildSign*>(page);
}

void DropChildSign(ChildSign* sign) { os::Unmap(sign, sizeof(*sign)); }

// Whether the child has ended. It may have been waited for by another thread, and be numbered
// otherwise in a name space of its own.
bool IsChildGone(int pid) {
  siginfo_t info = {};
  const long result =
      os::Call(SYS_waitid, P_PID, pid, reinterpret_cast<long>(&info), WEXITED | WNOHANG | WNOWAIT);
  if (result == 0) return info.si_pid == pid;
  return result == -ECHILD && os::Call(SYS_kill, pid, 0) == -ESRCH;
}

void NoteFailure(OverflowStatus status, uint64_t bytes) {
  g_retry_at_ns.store(os::MonotonicNs() + kRetryNs, std::memory_order_relaxed);
  g_failed_bytes.store(bytes, std::memory_order_relaxed);
  const uint32_t bit = uint32_t{1} << static_cast<uint32_t>(status);
  if ((g_told.fetch_or(bit, std::memory_order_relaxed) & bit) != 0) return;
  Message("overflow: %s; %s do not fit, %s of %s are in use in %s", OverflowStatusText(status),
          OwnSizeText(bytes).c_str(), OwnSizeText(g_file.used_bytes()).c_str(),
          OwnSizeText(g_file.limit_bytes()).c_str(), SpillFiles()->path());
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
  os::KillThisProcess();
}

// The file is there, and its threads.
bool BeginToTake() {
  if (g_open_state.load(std::memory_order_acquire) != kOpen && !OpenFile()) return false;
  if (!IsOwnProcess() || StartOverflowThreads()) return true;
  TurnOff();
  return false;
}

void* Taken(OverflowStatus status, void* start, size_t bytes, size_t wanted_bytes) {
  if (status != OverflowStatus::kOk) {
    NoteFailure(status, wanted_bytes);
    return nullptr;
  }
  OverflowGrows(start, bytes);
  return start;
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
  g_may_open = true;
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
  if (!BeginToTake()) return nullptr;
  void* start = nullptr;
  const OverflowStatus status = g_file.Allocate(bytes, alignment, align_offset, &start);
  return Taken(status, start, bytes, bytes);
}

void* TakeOverflowSegment(size_t* bytes, size_t least, size_t alignment) {
  if (!BeginToTake()) return nullptr;
  void* start = nullptr;
  const OverflowStatus status = g_file.AllocateBetween(least, *bytes, alignment, &start, bytes);
  return Taken(status, start, *bytes, least);
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

void NoteTakenInOverflow(uint32_t slot, uint64_t bytes) {
  NoteOverflowPeak(slot);
  OverflowTakes(bytes);
}

void AddOverflowLocks(ForkLocks* locks) {
  // Else it was not turned on as the program started, and nobody has the locks.
  if (g_may_open) g_file.AddLocks(locks);
}

void OverflowBeforeFork() {
  if (g_open_state.load(std::memory_order_acquire) != kOpen) return;
  g_is_sign_needed = g_file.BeforeFork();
  if (!g_is_sign_needed) return;
  g_child_sign = MakeChildSign();
  g_errno_before = errno;
  errno = 0;
}

void OverflowAfterForkInParent() {
  if (g_open_state.load(std::memory_order_acquire) != kOpen) return;
  if (g_is_sign_needed) {
    // The system's answer, if it refused: between this and the function above nothing else fails.
    const bool has_child = errno == 0;
    if (has_child) errno = g_errno_before;
    if (has_child) t_awaited_sign = g_child_sign;
    if (!has_child && g_child_sign != nullptr) DropChildSign(g_child_sign);
    g_child_sign = nullptr;
  }
  g_file.AfterForkInParent();
}

void OverflowAwaitChild() {
  ChildSign* const sign = t_awaited_sign;
  if (sign == nullptr) return;
  t_awaited_sign = nullptr;
  // A child that is killed at once never says who it is.
  constexpr long kLookNs = 20'000'000;
  constexpr int kLooksForStart = 250;
  for (int looks = 0; sign->has_copy.load(std::memory_order_acquire) == 0; ++looks) {
    const int pid = sign->pid.load(std::memory_order_relaxed);
    if (pid != 0 ? IsChildGone(pid) : looks >= kLooksForStart) break;
    const timespec at_most = {0, kLookNs};
    os::Call(SYS_futex, reinterpret_cast<long>(&sign->has_copy), FUTEX_WAIT, 0,
             reinterpret_cast<long>(&at_most));
  }
  DropChildSign(sign);
}

void OverflowRestoreInChild() {
  if (!g_may_open) return;
  if (g_open_state.load(std::memory_order_acquire) != kOpen) {
    g_open_state.store(kClosed, std::memory_order_relaxed);
    return;
  }
  t_awaited_sign = nullptr;
  if (g_is_sign_needed) errno = g_errno_before;
  ForgetOverflowThreads();
  // Without a sign the parent goes on writing while its memory is copied.
  if (g_is_sign_needed && g_child_sign == nullptr) DieInChild();
  if (g_is_sign_needed) g_child_sign->pid.store(os::ProcessId(), std::memory_order_relaxed);
  if (!g_file.RestoreInChild(g_source)) DieInChild();
  if (g_is_sign_needed) {
    g_child_sign->has_copy.store(1, std::memory_order_release);
    os::Call(SYS_futex, reinterpret_cast<long>(&g_child_sign->has_copy), FUTEX_WAKE, 1);
    DropChildSign(g_child_sign);
    g_child_sign = nullptr;
  }
}

void OverflowRestartInChild() {
  if (g_open_state.load(std::memory_order_acquire) == kOpen && g_file.used_bytes() != 0) {
    ListBooks();
    StartOverflowThreads();
  }
}

}  // namespace taskmem
