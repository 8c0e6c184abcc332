#include "tools/stats/stats_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "tools/base/process_info.h"
#include "tools/stats/mapped_books.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

// What the live process has mapped instead of the file that it has a name from. Nothing where it
// cannot be read.
std::optional<ProcessStats> ReadOtherBooks(pid_t pid, const FoundBooks& found) {
  if (found.fd < 0) return std::nullopt;
  const auto snapshot = StatsSnapshot::Read(found.fd, StatsParts::kAll);
  close(found.fd);
  // In a pid name space of its own the process has another number for itself.
  if (!snapshot || snapshot->Header().pid != static_cast<uint32_t>(pid)) return std::nullopt;
  return ReadProcessStats(*snapshot);
}

// In place of what was read from `path`: what the process has now.
void FollowExec(const std::string& path, ProcessStats* process) {
  if (!process->is_alive) return;
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return;
  const FoundBooks found = FindMappedBooks(process->pid, &status, path);
  if (found.which == MappedBooks::kNone) process->has_left = true;
  if (found.which != MappedBooks::kOthers) return;
  auto others = ReadOtherBooks(process->pid, found);
  if (others) {
    *process = *std::move(others);
  } else {
    process->has_left = true;
  }
}

}  // namespace

std::optional<ProcessStats> ReadStatsElsewhere(pid_t pid) {
  const FoundBooks found = FindMappedBooks(pid, nullptr, "");
  return found.which == MappedBooks::kOthers ? ReadOtherBooks(pid, found) : std::nullopt;
}

namespace {

// The user whose folder it is; nothing: this one, or the folder is nobody's alone.
std::optional<uid_t> OtherOwner(const std::string& dir) {
  struct stat status;
  if (stat(dir.c_str(), &status) != 0 || status.st_uid == geteuid()) return std::nullopt;
  if ((status.st_mode & 0777) != 0700) return std::nullopt;
  return status.st_uid;
}

// What another user has in his folder under the name of a process that is not his, or not there,
// says nothing. (That the file is that user's has been looked at.)
bool IsOfLiveProcessOf(uid_t user, const fs::path& path, const ProcessStats& process) {
  return process.is_alive && EffectiveUser(process.pid) == user &&
         path.filename() == fmt::format("{}-{}", process.pid, process.start_time);
}

}  // namespace

std::vector<StatsFile> ReadStatsDir(const std::string& dir) {
  std::vector<StatsFile> files;
  std::error_code error;
  const std::optional<uid_t> other = OtherOwner(dir);
  size_t looked_at = 0;
  size_t tasks = 0;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const fs::directory_entry& entry = *at;
    constexpr size_t kMostTasksOfOthers = 200'000;
    if (other && (++looked_at > kMostFilesOfOthers || tasks > kMostTasksOfOthers)) break;
    if (auto process = ReadStatsFile(entry.path())) {
      if (other && !IsOfLiveProcessOf(*other, entry.path(), *process)) continue;
      tasks += process->tasks.size();
      FollowExec(entry.path(), &*process);
      if (other && !process->is_alive) continue;
      files.push_back({entry.path(), *std::move(process)});
    }
  }
  std::stable_sort(files.begin(), files.end(), [](const StatsFile& a, const StatsFile& b) {
    return a.process.peak_charged_bytes > b.process.peak_charged_bytes;
  });
  return files;
}

std::vector<StatsFile> ReadStatsDirs(const std::vector<std::string>& dirs) {
  std::vector<StatsFile> files;
  for (const std::string& dir : dirs) {
    std::vector<StatsFile> more = ReadStatsDir(dir);
    std::move(more.begin(), more.end(), std::back_inserter(files));
  }
  std::stable_sort(files.begin(), files.end(), [](const StatsFile& a, const StatsFile& b) {
    return a.process.peak_charged_bytes > b.process.peak_charged_bytes;
  });
  return files;
}

}  // namespace taskmem
