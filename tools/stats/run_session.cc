#include "tools/stats/run_session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>

#include "accounting/audit/stats_layout.h"
#include "tools/base/process_info.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

std::optional<WatchedProcess> FindChildOf(const std::string& dir, const std::string& session,
                                          pid_t parent) {
  std::error_code error;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const fs::directory_entry& entry = *at;
    const auto snapshot = StatsSnapshot::Read(entry.path(), StatsParts::kHeader);
    if (!snapshot) continue;
    const StatsHeader& header = snapshot->Header();
    if (static_cast<pid_t>(header.parent_pid) != parent || FieldText(header.session) != session ||
        !IsAlive(static_cast<pid_t>(header.pid), header.start_time)) {
      continue;
    }
    return WatchedProcess{static_cast<pid_t>(header.pid), entry.path(),
                          header.exit_audit.load() == ExitAudit::kWaiting};
  }
  return std::nullopt;
}

}  // namespace

std::string NewSession() {
  std::random_device random;
  return fmt::format("{}-{}-{:08x}", getpid(), StartTime(getpid()).value_or(0), random());
}

bool IsSessionAlive(const std::string& session) {
  pid_t pid;
  unsigned long long start_time;
  return sscanf(session.c_str(), "%d-%llu-", &pid, &start_time) == 2 && IsAlive(pid, start_time);
}

std::optional<WatchedProcess> FindChildOf(const std::vector<std::string>& dirs,
                                          const std::string& session, pid_t parent) {
  for (const std::string& dir : dirs) {
    if (auto found = FindChildOf(dir, session, parent)) return found;
  }
  return std::nullopt;
}

void ReleaseFromAudit(const WatchedProcess& process) {
  const int fd = open(process.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  // The file may be cut at any moment: its memory is the kernel's to touch, not ours.
  const ExitAudit done = ExitAudit::kDone;
  constexpr size_t kAt = offsetof(StatsHeader, exit_audit);
  const ssize_t written = pwrite(fd, &done, sizeof(done), kAt);
  void* start = mmap(nullptr, sizeof(StatsHeader), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (start == MAP_FAILED) return;
  if (written > 0) {
    syscall(SYS_futex, static_cast<char*>(start) + kAt, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  munmap(start, sizeof(StatsHeader));
}

}  // namespace taskmem
