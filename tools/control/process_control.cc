#include "tools/control/process_control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>

#include "accounting/audit/stats_layout.h"
#include "accounting/base/monotonic_ns.h"
#include "spill/reclaim/limit_policy.h"
#include "tools/base/process_info.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"
#include "tools/stats/mapped_books.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

void Nap(int64_t until_ns) {
  constexpr int64_t kLongestNs = 5'000'000;
  const int64_t left = std::clamp<int64_t>(until_ns - MonotonicNs(), 0, kLongestNs);
  const timespec nap = {0, left};
  nanosleep(&nap, nullptr);
}

// The file's owner may cut it at any moment: to touch what is mapped of it is a SIGBUS then, which
// must not be the end of a command of root's.
sigjmp_buf g_escape;

template <typename Act>
bool Guarded(Act act) {
  struct sigaction escape = {};
  struct sigaction before;
  escape.sa_handler = [](int) { siglongjmp(g_escape, 1); };
  sigaction(SIGBUS, &escape, &before);
  const bool is_whole = sigsetjmp(g_escape, 1) == 0;
  if (is_whole) act();
  sigaction(SIGBUS, &before, nullptr);
  return is_whole;
}

// One that may be written to: its owner's own books, by its owner or root.
bool IsWritable(int fd, const StatsHeader& header, pid_t pid) {
  struct stat file;
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return false;
  if (static_cast<pid_t>(header.pid) != pid || !IsAlive(pid, header.start_time)) return false;
  if (file.st_uid == geteuid()) return true;
  return geteuid() == 0 && file.st_nlink == 1 && static_cast<uint64_t>(file.st_size) == kStatsBytes;
}

// A descriptor to read of the process's own file; -1: none is found.
int FindBooks(const std::vector<std::string>& dirs, pid_t pid) {
  const FoundBooks mapped = FindMappedBooks(pid, nullptr, "");
  if (mapped.which == MappedBooks::kNone || mapped.fd >= 0) return mapped.fd;
  // What it maps may not be ours to look at.
  const std::string prefix = fmt::format("{}-", pid);
  for (const std::string& dir : dirs) {
    std::error_code error;
    for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
      if (!at->path().filename().string().starts_with(prefix)) continue;
      const int fd =
          open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
      if (fd < 0) continue;
      const auto snapshot = StatsSnapshot::Read(fd, StatsParts::kHeader);
      if (snapshot && IsWritable(fd, snapshot->Header(), pid)) return fd;
      close(fd);
    }
  }
  return -1;
}

bool IsLocked(int fd, int64_t deadline_ns) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || MonotonicNs() >= deadline_ns) return false;
    Nap(deadline_ns);
  }
  return true;
}

const char* NameOf(uint64_t at_limit) {
  switch (static_cast<AtLimit>(at_limit)) {
    case AtLimit::kRefuse: return "refuse";
    case AtLimit::kOverdraw: return "overdraw";
    case AtLimit::kKill: return "kill";
  }
  return "?";
}

std::string LimitText(uint64_t bytes) { return bytes == kNoQuota ? "none" : HumanBytes(bytes); }

std::string DescribeDone(const Change& change, const ChangeResult& result) {
  const std::string task = "task " + TaskIdText(change.task);
  switch (change.kind) {
    case ChangeKind::kTaskQuota:
      return fmt::format("{}: quota {}, was {}; holds {}", task, LimitText(change.bytes),
                         LimitText(result.before), HumanBytes(result.held));
    case ChangeKind::kMemory:
      return fmt::format("--memory: {}, was {}; {} taken", LimitText(change.bytes),
                         LimitText(result.before), HumanBytes(result.held));
    case ChangeKind::kTaskSpill:
      return fmt::format("{}: spilled {}; held {}, holds {}", task,
                         HumanBytes(result.before - std::min(result.before, result.held)),
                         HumanBytes(result.before), HumanBytes(result.held));
    case ChangeKind::kAtLimit:
      return fmt::format("--at-limit: {}, was {}", NameOf(change.bytes), NameOf(result.before));
  }
  return "";
}

std::string DescribeRefused(const Change& change, int error, pid_t pid) {
  switch (error) {
    case ENOENT: return fmt::format("process {} has no live task {}", pid, TaskIdText(change.task));
    case ENOSYS: return fmt::format("process {} has no spill hooks: nothing can be asked for", pid);
    case EBUSY: return fmt::format("process {} is busy with another one: nothing was changed", pid);
    default: return fmt::format("process {} cannot do that: {}", pid, strerror(error));
  }
}

}  // namespace

std::unique_ptr<ProcessControl> ProcessControl::Open(const std::vector<std::string>& stats_dirs,
                                                     pid_t pid, std::string* error) {
  *error = fmt::format("no process {} under taskmem", pid);
  const int found = FindBooks(stats_dirs, pid);
  if (found < 0) return nullptr;
  const auto snapshot = StatsSnapshot::Read(found, StatsParts::kHeader);
  const bool is_writable = snapshot && IsWritable(found, snapshot->Header(), pid);
  // Whatever has the path now, it is the same file.
  const int fd =
      is_writable ? open(fmt::format("/proc/self/fd/{}", found).c_str(), O_RDWR | O_CLOEXEC) : -1;
  int why = errno;
  close(found);
  if (!is_writable) return nullptr;
  void* mapped = MAP_FAILED;
  if (fd >= 0) {
    mapped = mmap(nullptr, sizeof(StatsHeader), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    why = errno;
  }
  if (mapped == MAP_FAILED) {
    *error = fmt::format("cannot write to the books of process {}: {}", pid, strerror(why));
    if (fd >= 0) close(fd);
    return nullptr;
  }
  return std::unique_ptr<ProcessControl>(
      new ProcessControl(fd, mapped, pid, snapshot->Header().start_time));
}

ProcessControl::~ProcessControl() {
  munmap(mapped_, sizeof(StatsHeader));
  close(fd_);
}

ChangeResult ProcessControl::Ask(const Change& change, int64_t timeout_ns) {
  const int64_t now = MonotonicNs();
  const int64_t deadline_ns = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
  if (!IsLocked(fd_, deadline_ns)) return {ChangeOutcome::kBusy};
  ChangeResult result;
  if (!Guarded([&] { result = AskLocked(change, deadline_ns); })) result = {ChangeOutcome::kGone};
  flock(fd_, LOCK_UN);
  return result;
}

// Constructs nothing that would have to be destroyed: see Guarded.
ChangeResult ProcessControl::AskLocked(const Change& change, int64_t deadline_ns) {
  ProcessRequest& request = static_cast<StatsHeader*>(mapped_)->request;
  const auto swap = [&](RequestState from, RequestState to) {
    return request.state.compare_exchange_strong(from, to);
  };
  const auto wake = [&] {
    syscall(SYS_futex, &request.state, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  };
  // Until the state is another one, for a moment: a process that is gone wakes nobody.
  const auto wait = [&](RequestState state) {
    const timespec moment = {0, 20'000'000};
    syscall(SYS_futex, &request.state, FUTEX_WAIT, static_cast<uint32_t>(state), &moment, nullptr,
            0);
  };
  // What a command that was killed left behind.
  for (;;) {
    const RequestState state = request.state.load();
    if (state == RequestState::kAsked) {
      swap(state, RequestState::kIdle);
    } else if (state == RequestState::kTaken) {
      if (MonotonicNs() >= deadline_ns) return {ChangeOutcome::kBusy};
      if (!IsAlive(pid_, start_time_)) return {ChangeOutcome::kGone};
      wait(state);
    } else {
      request.kind.store(change.kind);
      request.task.store(change.task);
      request.bytes.store(change.bytes);
      if (swap(state, RequestState::kAsked)) break;
    }
  }
  wake();
  for (;;) {
    const RequestState state = request.state.load();
    if (state == RequestState::kAnswered) break;
    if (state != RequestState::kAsked && state != RequestState::kTaken) {
      return {ChangeOutcome::kBusy};  // somebody writes who keeps to nothing
    }
    if (!IsAlive(pid_, start_time_)) return {ChangeOutcome::kGone};
    if (MonotonicNs() >= deadline_ns) {
      if (state == RequestState::kTaken) return {ChangeOutcome::kUnderWay};
      if (swap(state, RequestState::kIdle)) return {ChangeOutcome::kNotAnswered};
      continue;
    }
    wait(state);
  }
  ChangeResult result;
  result.error = static_cast<int>(request.error.load());
  result.outcome = result.error == 0 ? ChangeOutcome::kDone : ChangeOutcome::kRefused;
  result.before = request.before.load();
  result.held = request.held.load();
  return result;
}

std::string DescribeChange(const Change& change, const ChangeResult& result, pid_t pid) {
  switch (result.outcome) {
    case ChangeOutcome::kDone: return DescribeDone(change, result);
    case ChangeOutcome::kRefused: return DescribeRefused(change, result.error, pid);
    case ChangeOutcome::kNotAnswered:
      return fmt::format(
          "process {} did not answer in time, nothing was changed: none of its threads allocates "
          "or begins a task",
          pid);
    case ChangeOutcome::kUnderWay:
      return fmt::format("process {} has begun and not ended in time: it goes on", pid);
    case ChangeOutcome::kBusy:
      return fmt::format("process {} is busy with what others asked for: nothing was changed", pid);
    case ChangeOutcome::kGone: return fmt::format("process {} has ended", pid);
  }
  return "";
}

}  // namespace taskmem
