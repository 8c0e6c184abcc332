#include "tools/stats/stats_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>

#include "tools/base/process_info.h"
#include "tools/stats/mapped_books.h"
#include "tools/stats/stats_dirs.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

// What the live process has mapped instead of the file that it has a name from. Nothing where it
// cannot be read.
std::optional<ProcessStats> ReadOtherBooks(pid_t pid, const FoundBooks& found,
                                           ResidencyLooks* looks) {
  if (found.fd < 0) return std::nullopt;
  const auto read = [&](StatsParts parts) { return StatsSnapshot::Read(found.fd, parts); };
  std::optional<ProcessStats> process;
  const auto snapshot = read(StatsParts::kAll);
  // In a pid name space of its own the process has another number for itself.
  if (snapshot && snapshot->Header().pid == static_cast<uint32_t>(pid)) {
    process = ReadProcessStats(*snapshot);
    if (looks != nullptr) looks->Refresh(read, &*process);
  }
  close(found.fd);
  return process;
}

void Refresh(const std::string& path, ProcessStats* process, ResidencyLooks* looks) {
  if (looks == nullptr) return;
  looks->Refresh([&](StatsParts parts) { return StatsSnapshot::Read(path, parts); }, process);
}

// In place of what was read from `path`: what the process has now. True: that is the same.
bool FollowExec(const std::string& path, ProcessStats* process, ResidencyLooks* looks) {
  if (!process->is_alive) return true;
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return true;
  const FoundBooks found = FindMappedBooks(process->pid, &status, path);
  if (found.which == MappedBooks::kNone) process->has_left = true;
  if (found.which != MappedBooks::kOthers) return !process->has_left;
  auto others = ReadOtherBooks(process->pid, found, looks);
  if (others) {
    *process = *std::move(others);
  } else {
    process->has_left = true;
  }
  return false;
}

}  // namespace

std::optional<ProcessStats> ReadStatsElsewhere(pid_t pid, ResidencyLooks* looks) {
  const FoundBooks found = FindMappedBooks(pid, nullptr, "");
  return found.which == MappedBooks::kOthers ? ReadOtherBooks(pid, found, looks) : std::nullopt;
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

// Calls act(path, process, is_of_another_user) for each stats file of the folder whose name begins
// so. Of another user's folder: of live processes of that user, and only so much.
template <typename Act>
void ForEachStatsFile(const std::string& dir, const std::string& prefix, Act act) {
  std::error_code error;
  const std::optional<uid_t> other = OtherOwner(dir);
  size_t looked_at = 0;
  size_t tasks = 0;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    constexpr size_t kMostTasksOfOthers = 200'000;
    if (other && (++looked_at > kMostFilesOfOthers || tasks > kMostTasksOfOthers)) break;
    if (!path.filename().string().starts_with(prefix)) continue;
    auto process = ReadStatsFile(path);
    if (!process || (other && !IsOfLiveProcessOf(*other, path, *process))) continue;
    tasks += process->tasks.size();
    act(path, *std::move(process), other.has_value());
  }
}

}  // namespace

std::vector<StatsFile> ReadStatsDir(const std::string& dir, ResidencyLooks* looks) {
  std::vector<StatsFile> files;
  ForEachStatsFile(dir, "", [&](const fs::path& path, ProcessStats process, bool is_of_another) {
    if (FollowExec(path, &process, looks)) Refresh(path, &process, looks);
    if (!is_of_another || process.is_alive) files.push_back({path, std::move(process)});
  });
  std::stable_sort(files.begin(), files.end(), [](const StatsFile& a, const StatsFile& b) {
    return a.process.peak_charged_bytes > b.process.peak_charged_bytes;
  });
  return files;
}

// What PathOf has kept open.
void LiveBooks::CloseDirs() {
  constexpr std::string_view kPrefix = "/proc/self/fd/";
  // Those that the user named are not of its making.
  if (options_.stats_dir[0] != '\0') return dirs_.clear();
  for (const std::string& dir : dirs_) {
    int fd = -1;
    if (!dir.starts_with(kPrefix)) continue;
    std::from_chars(dir.data() + kPrefix.size(), dir.data() + dir.size(), fd);
    if (fd >= 0) close(fd);
  }
  dirs_.clear();
}

void LiveBooks::FindDirs() {
  constexpr time_t kSecondsBetween = 5;
  const time_t now = time(nullptr);
  if (!dirs_.empty() && now >= dirs_found_ && now - dirs_found_ < kSecondsBetween) return;
  CloseDirs();
  dirs_ = ReadableStatsDirs(options_);
  dirs_found_ = now;
}

std::vector<ProcessStats> LiveBooks::Read() {
  constexpr time_t kSecondsBetweenLooks = 10;
  const std::string prefix = only_ ? fmt::format("{}-", *only_) : "";
  FindDirs();
  residency_.BeginRound();
  std::vector<ProcessStats> live;
  std::map<std::string, Look> looks;
  for (const std::string& dir : dirs_) {
    ForEachStatsFile(dir, prefix, [&](const fs::path& path, ProcessStats process, bool) {
      if (!process.is_alive || process.has_exited) return;
      const std::string name = path.filename();
      Look look = looks_[name];
      const time_t now = time(nullptr);
      if (!look.is_its_own || now - look.time >= kSecondsBetweenLooks || now < look.time) {
        look = {now, FollowExec(path, &process, &residency_)};
      }
      looks[name] = look;
      if (process.has_left || !process.is_alive) return;
      if (look.is_its_own) Refresh(path, &process, &residency_);
      // A user may have copies of a file in folders of his own.
      const bool is_known = std::any_of(live.begin(), live.end(), [&](const ProcessStats& other) {
        return other.pid == process.pid;
      });
      if (!is_known) live.push_back(std::move(process));
    });
  }
  looks_ = std::move(looks);
  if (live.empty() && only_) {
    // In another root or mount name space, perhaps.
    if (auto process = ReadStatsElsewhere(*only_, &residency_)) live.push_back(*std::move(process));
  }
  std::stable_sort(live.begin(), live.end(), [](const ProcessStats& a, const ProcessStats& b) {
    return a.peak_charged_bytes > b.peak_charged_bytes;
  });
  return live;
}

std::vector<StatsFile> ReadStatsDirs(const std::vector<std::string>& dirs, ResidencyLooks* looks) {
  std::vector<StatsFile> files;
  for (const std::string& dir : dirs) {
    std::vector<StatsFile> more = ReadStatsDir(dir, looks);
    std::move(more.begin(), more.end(), std::back_inserter(files));
  }
  std::stable_sort(files.begin(), files.end(), [](const StatsFile& a, const StatsFile& b) {
    return a.process.peak_charged_bytes > b.process.peak_charged_bytes;
  });
  return files;
}

}  // namespace taskmem
