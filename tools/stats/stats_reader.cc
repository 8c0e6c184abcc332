#include "tools/stats/stats_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <random>
#include <string_view>
#include <system_error>

#include "accounting/audit/stats_layout.h"
#include "shim/base/user_directory.h"
#include "tools/base/process_info.h"
#include "tools/stats/mapped_books.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

TaskStats ReadBook(const TaskBook& book, uint64_t threads) {
  TaskStats task;
  const uint64_t quota = book.quota_bytes.load();
  if (quota != kNoQuota) task.quota_bytes = quota;
  const uint64_t granted = book.granted_bytes.load();
  if (granted != kNoPool) task.granted_bytes = granted;
  task.charged_bytes = book.charged_bytes.load();
  // A charge raises the peak a moment after it counts.
  task.peak_charged_bytes = std::max(book.peak_charged_bytes.load(), task.charged_bytes);
  task.refusals = book.refusals.load();
  task.overdraft_bytes = task.charged_bytes > quota ? task.charged_bytes - quota : 0;
  task.peak_overdraft_bytes = std::max(book.peak_overdraft_bytes.load(), task.overdraft_bytes);
  task.overdrafts = book.overdrafts.load();
  task.threads = threads;
  task.pages = book.pages.load();
  return task;
}

ReclaimStats ReadReclaim(const ReclaimBook& book) {
  return {.spill_calls = book.spill_calls,
          .spill_asked_bytes = book.spill_asked_bytes,
          .spill_freed_bytes = book.spill_freed_bytes,
          .soft_spill_calls = book.soft_spill_calls,
          .soft_spill_asked_bytes = book.soft_spill_asked_bytes,
          .soft_spill_freed_bytes = book.soft_spill_freed_bytes,
          .stalls = book.stalls,
          .stall_ns = book.stall_ns,
          .longest_stall_ns = book.longest_stall_ns,
          .evicted_blocks = book.evicted_blocks,
          .evicted_bytes = book.evicted_bytes,
          .written_bytes = book.written_bytes,
          .read_bytes = book.read_bytes,
          .overflow_bytes = book.overflow_bytes,
          .peak_overflow_bytes = book.peak_overflow_bytes,
          .pushed_out_bytes = book.pushed_out_bytes,
          .returned_bytes = book.returned_bytes,
          .waits = book.waits,
          .wait_ns = book.wait_ns};
}

std::vector<uint64_t> CountThreads(const StatsSnapshot& snapshot) {
  std::vector<uint64_t> threads(snapshot.slots());
  for (const ThreadEntry& entry : snapshot.Threads()) {
    const uint32_t slot_plus_one = entry.slot_plus_one;
    if (slot_plus_one != 0 && slot_plus_one <= threads.size()) ++threads[slot_plus_one - 1];
  }
  return threads;
}

PoolUsage ReadPools(const PoolStats& stats) {
  PoolUsage pools;
  const uint64_t memory = stats.memory_bytes.load();
  pools.is_memory_known = memory != 0;
  if (memory != 0 && memory != kNoPool) pools.memory_bytes = memory;
  pools.execution_size_bytes = stats.execution_size_bytes.load();
  pools.execution_used_bytes = stats.execution_used_bytes.load();
  pools.storage_size_bytes = stats.storage_size_bytes.load();
  pools.storage_used_bytes = stats.storage_used_bytes.load();
  pools.overdrawn_bytes = stats.overdrawn_bytes.load();
  pools.active_tasks = stats.active_tasks.load();
  pools.untouched_bytes = stats.untouched_bytes.load();
  pools.unmanaged_bytes = stats.slack_bytes.load();
  return pools;
}

void ReadBooks(const StatsSnapshot& snapshot, ProcessStats* process) {
  const std::vector<uint64_t> threads = CountThreads(snapshot);
  for (uint32_t slot = 0; slot < snapshot.slots(); ++slot) {
    const SlotIdentity& identity = snapshot.Identity(slot);
    TaskStats task = ReadBook(snapshot.Book(slot), threads[slot]);
    task.reclaim = ReadReclaim(snapshot.Reclaim(slot));
    process->charged_bytes += task.charged_bytes;
    // The header's peak is exact only to some KiB for each thread.
    process->peak_charged_bytes = std::max(process->peak_charged_bytes, task.peak_charged_bytes);
    process->refusals += task.refusals;
    if (slot < kFirstTaskSlot && slot != kStorageSlot) {
      process->pools.unmanaged_bytes += task.charged_bytes;
    }
    if (slot == kUntrackedSlot) {
      process->untracked_bytes = task.charged_bytes;
      process->peak_untracked_bytes = task.peak_charged_bytes;
      continue;
    }
    if (slot == kEndedTasksSlot) {
      if (task.peak_charged_bytes == 0 && snapshot.Header().tasks_folded == 0) continue;
      task.name = "ended tasks";
      task.retained_bytes = task.charged_bytes;
    } else if (slot < kFirstTaskSlot) {
      if (task.peak_charged_bytes == 0) continue;
      task.name = identity.name;
    } else {
      if (identity.state == TaskState::kFree) continue;
      task.id = identity.id;
      task.name = identity.name;
      if (identity.state == TaskState::kEnded) task.retained_bytes = task.charged_bytes;
    }
    process->tasks.push_back(std::move(task));
  }
  std::stable_sort(process->tasks.begin(), process->tasks.end(),
                   [](const TaskStats& a, const TaskStats& b) {
                     return a.peak_charged_bytes > b.peak_charged_bytes;
                   });
}

std::optional<Refusal> ReadRefusal(const FirstRefusal& first) {
  if (first.state.load() != FirstRefusal::kWritten) return std::nullopt;
  return Refusal{.time_ns = first.time_ns,
                 .task_id = first.task_id,
                 .task_name = FieldText(first.name),
                 .by_quota = first.by_quota != 0,
                 .bytes = first.bytes,
                 .held_bytes = first.held_bytes,
                 .limit_bytes = first.limit_bytes};
}

}  // namespace

std::optional<ProcessStats> ReadStatsFile(const std::string& path) {
  const auto snapshot = StatsSnapshot::Read(path, StatsParts::kAll);
  if (!snapshot) return std::nullopt;
  return ReadProcessStats(*snapshot);
}

ProcessStats ReadProcessStats(const StatsSnapshot& snapshot) {
  const StatsHeader& header = snapshot.Header();
  ProcessStats process;
  process.pid = static_cast<pid_t>(header.pid);
  process.start_time = header.start_time;
  process.session = FieldText(header.session);
  process.program = FieldText(header.program);
  process.label = FieldText(header.label[header.label_state.load() & 1]);
  process.exit_stats = FieldText(header.exit_stats);
  process.has_exited = header.state.load() == ProcessState::kExited;
  process.title = FieldText(header.title);
  process.first_refusal = ReadRefusal(header.first_refusal);
  process.is_alive = IsAlive(process.pid, header.start_time);
  process.pools = ReadPools(header.pools);
  ReadBooks(snapshot, &process);
  process.peak_charged_bytes = std::max(
      {process.peak_charged_bytes, process.charged_bytes, header.peak_charged_bytes.load()});
  if (process.is_alive) {
    const ResidentBytes resident = ReadResidentBytes(process.pid);
    process.resident_bytes = resident.now;
    process.peak_resident_bytes = resident.peak;
  } else {
    process.resident_bytes = header.resident_bytes_at_exit;
    process.peak_resident_bytes = header.peak_resident_bytes;
  }
  // The kernel's two counters are not read at one time.
  process.peak_resident_bytes = std::max(process.peak_resident_bytes, process.resident_bytes);
  return process;
}

namespace {

// A path of the folder itself, whatever becomes of its name. It stays open.
std::string PathOf(int fd, const char* name) {
  const int kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const std::string path = fmt::format("/proc/self/fd/{}", kept);
  if (kept >= 0 && access(path.c_str(), X_OK) == 0) return path;
  close(kept);
  return name;
}

}  // namespace

std::vector<std::string> StatsDirs(const Options& options) {
  if (options.stats_dir[0] != '\0') return {options.stats_dir};
  std::vector<std::string> dirs;
  ForEachUserDirectory(
      StatsParent(),
      [](void* context, const char* path, int fd) {
        static_cast<std::vector<std::string>*>(context)->push_back(PathOf(fd, path));
      },
      &dirs);
  return dirs;
}

std::vector<std::string> OtherUsersStatsDirs() {
  std::vector<std::string> dirs;
  if (geteuid() != 0) return dirs;
  constexpr size_t kMostDirs = 1024;
  constexpr std::string_view kPrefix = "taskmem-";
  std::error_code error;
  for (fs::directory_iterator at(StatsParent(), error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    uid_t user = 0;
    if (dirs.size() == kMostDirs || !name.starts_with(kPrefix)) continue;
    const char* const digits = name.data() + kPrefix.size();
    const auto [stop, wrong] = std::from_chars(digits, name.data() + name.size(), user);
    if (wrong != std::errc() || (*stop != '\0' && *stop != '-') || user == geteuid()) continue;
    const int fd = open(at->path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_uid == user && (status.st_mode & 0777) == 0700) {
      dirs.push_back(PathOf(fd, at->path().c_str()));
    }
    close(fd);
  }
  return dirs;
}

std::vector<std::string> ReadableStatsDirs(const Options& options) {
  std::vector<std::string> dirs = StatsDirs(options);
  if (options.stats_dir[0] != '\0') return dirs;
  std::vector<std::string> others = OtherUsersStatsDirs();
  std::move(others.begin(), others.end(), std::back_inserter(dirs));
  return dirs;
}

std::vector<std::string> MakeStatsDirs(const Options& options, std::string* error) {
  if (options.stats_dir[0] != '\0') {
    const char* const dir = options.stats_dir;
    if ((mkdir(dir, 0700) == 0 || errno == EEXIST) && access(dir, W_OK | X_OK) == 0) return {dir};
    *error = strerror(errno);
    return {};
  }
  char path[kUserDirectoryBytes];
  const int fd = OpenUserDirectory(StatsParent(), path);
  if (fd < 0) {
    *error = fmt::format("{}: {}", path, strerror(-fd));
    return {};
  }
  close(fd);
  return StatsDirs(options);
}

namespace {

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

namespace {

ProcessBooks BooksOf(const StatsSnapshot& snapshot, const std::string& path) {
  const StatsHeader& header = snapshot.Header();
  ProcessBooks books;
  books.pid = static_cast<pid_t>(header.pid);
  books.start_time = header.start_time;
  books.path = path;
  books.program = FieldText(header.program);
  books.title = FieldText(header.title);
  books.layout = header.audit;
  for (uint32_t slot = 0; slot < snapshot.slots(); ++slot) {
    const SlotIdentity& identity = snapshot.Identity(slot);
    ProcessBooks::Slot& known = books.slots.emplace_back();
    if (slot >= kFirstTaskSlot) known.id = identity.id;
    known.name = identity.name;
    known.has_ended = identity.state == TaskState::kEnded || slot == kEndedTasksSlot;
    known.charged_bytes = snapshot.Book(slot).charged_bytes.load();
  }
  return books;
}

// The file that the process has in another root or mount name space.
std::optional<ProcessBooks> ReadOtherProcessBooks(pid_t pid, const FoundBooks& found) {
  if (found.fd < 0) return std::nullopt;
  const auto snapshot = StatsSnapshot::Read(found.fd, StatsParts::kIdentities);
  close(found.fd);
  if (!snapshot || snapshot->Header().pid != static_cast<uint32_t>(pid) ||
      snapshot->Header().audit.version != kAuditVersion) {
    return std::nullopt;
  }
  return BooksOf(*snapshot, found.path);
}

std::optional<ProcessBooks> ReadProcessBooks(const std::string& dir, pid_t pid) {
  std::error_code error;
  const std::string prefix = fmt::format("{}-", pid);
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const fs::directory_entry& entry = *at;
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    const auto snapshot = StatsSnapshot::Read(entry.path(), StatsParts::kIdentities);
    if (!snapshot || !IsAlive(pid, snapshot->Header().start_time)) continue;
    struct stat status;
    if (stat(entry.path().c_str(), &status) == 0) {
      const FoundBooks found = FindMappedBooks(pid, &status, entry.path());
      if (found.which == MappedBooks::kOthers) return ReadOtherProcessBooks(pid, found);
      if (found.which == MappedBooks::kNone) continue;
    }
    if (snapshot->Header().audit.version != kAuditVersion) continue;
    // As the kernel names it where it is mapped: the folder may have been found by a descriptor.
    std::error_code no_such;
    const fs::path named = fs::canonical(entry.path(), no_such);
    return BooksOf(*snapshot, no_such ? entry.path() : named);
  }
  return std::nullopt;
}

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

std::optional<ProcessBooks> ReadProcessBooks(const std::vector<std::string>& dirs, pid_t pid) {
  for (const std::string& dir : dirs) {
    if (auto books = ReadProcessBooks(dir, pid)) return books;
  }
  return ReadOtherProcessBooks(pid, FindMappedBooks(pid, nullptr, ""));
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

bool IsLeftOver(const StatsFile& file) {
  // Whoever removes it does so before it ends, perhaps since the file was read: looked at last.
  return !file.process.is_alive && !IsSessionAlive(file.process.session) &&
         access(file.path.c_str(), F_OK) == 0;
}

namespace {

// Since when the file is known to be left over. Whoever looks first takes the right to write away,
// which no live process misses after its start, and sets the time.
time_t LeftOverSince(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return 0;
  struct stat status = {};
  const bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  time_t since = status.st_mtime;
  const bool is_marked = (status.st_mode & S_IWUSR) == 0;
  if (is_file && !is_marked && fchmod(fd, S_IRUSR) == 0 && futimens(fd, nullptr) == 0) {
    since = time(nullptr);
  }
  close(fd);
  return since;
}

}  // namespace

void TidyLeftOvers(const std::vector<StatsFile>& files) {
  std::vector<std::pair<time_t, const StatsFile*>> left;
  for (const StatsFile& file : files) {
    if (IsLeftOver(file) && !file.is_kept) left.emplace_back(LeftOverSince(file.path), &file);
  }
  std::sort(left.begin(), left.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  const time_t now = time(nullptr);
  for (size_t i = 0; i < left.size(); ++i) {
    const auto& [since, file] = left[i];
    if (i >= kMostLeftOvers || now - since > kLeftOverSeconds) unlink(file->path.c_str());
  }
}

std::string NewSession() {
  std::random_device random;
  return fmt::format("{}-{}-{:08x}", getpid(), StartTime(getpid()).value_or(0), random());
}

bool IsSessionAlive(const std::string& session) {
  pid_t pid;
  unsigned long long start_time;
  return sscanf(session.c_str(), "%d-%llu-", &pid, &start_time) == 2 && IsAlive(pid, start_time);
}

}  // namespace taskmem
