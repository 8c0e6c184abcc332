#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "shim/base/memory_limit.h"
#include "shim/base/small_space.h"
#include "shim/base/user_directory.h"
#include "spill/files/disk_error.h"
#include "spill/files/kept_in_memory.h"
#include "spill/files/spill_dir.h"
#include "tools/base/units.h"
#include "tools/doctor/doctor.h"
#include "tools/stats/stats_dirs.h"

namespace taskmem {
namespace {

// The books of a process with some hundred tasks and their tables.
constexpr uint64_t kBooksBytes = uint64_t{2} << 20;

uint64_t FreeBytes(const std::string& path) {
  struct statvfs status;
  if (statvfs(path.c_str(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

bool IsInMemory(const std::string& path) {
  struct statfs status;
  return statfs(path.c_str(), &status) == 0 && IsKeptInMemory(status);
}

void CheckBooks(const Options& options, Findings* findings) {
  std::string error;
  const std::vector<std::string> dirs = MakeStatsDirs(options, &error);
  const std::string place = options.stats_dir[0] != '\0' ? options.stats_dir : StatsParent();
  if (dirs.empty()) {
    findings->push_back(
        {Severity::kWarning,
         fmt::format("no place for books in {} ({}): limits hold, without tables", place, error),
         "give /dev/shm, or --stats-dir PATH"});
    return;
  }
  const uint64_t free = FreeBytes(dirs.front());
  if (free < kBooksBytes) {
    findings->push_back({Severity::kWarning,
                         fmt::format("{} has {} free: books need about {} for each process", place,
                                     HumanBytes(free), HumanBytes(kBooksBytes)),
                         "in a container: --shm-size, or --stats-dir PATH"});
  } else {
    findings->push_back(
        {Severity::kOk, fmt::format("books lie in {}, {} free", place, HumanBytes(free)), ""});
  }
}

void CheckSpillDir(const Options& options, Findings* findings) {
  const bool is_named = options.spill_dir[0] != '\0';
  const std::string place = is_named ? options.spill_dir : kSpillParent;
  if (!is_named && options.overflow != Overflow::kOn) {
    findings->push_back({Severity::kNote,
                         "no --spill-dir: blocks cannot go to disk, and there is no overflow file",
                         "--spill-dir PATH, or --overflow for a file in /var/tmp"});
    return;
  }
  if (is_named) {
    SpillDir dir;
    if (const DiskError error = dir.Open(options.spill_dir)) {
      char why[256];
      Describe(error, why, sizeof(why));
      findings->push_back({Severity::kWarning,
                           fmt::format("{} cannot be used for --spill-dir: {}", place, why),
                           "name a folder that the user may write to"});
      return;
    }
    dir.Remove();
  }
  if (IsInMemory(place)) {
    findings->push_back({Severity::kWarning,
                         place + " is in memory itself: what goes there stays in memory",
                         "name a folder on a disk"});
    return;
  }
  findings->push_back(
      {Severity::kOk,
       fmt::format("{} has {} free to spill to", place, HumanBytes(FreeBytes(place))), ""});
}

void CheckMemory(Findings* findings) {
  const uint64_t machine = MachineMemoryBytes();
  const uint64_t memory = DefaultMemoryBytes();
  if (memory == UINT64_MAX) {
    findings->push_back({Severity::kWarning,
                         "neither a container nor the machine says how much "
                         "memory there is",
                         "--memory SIZE"});
  } else {
    findings->push_back(
        {Severity::kOk,
         fmt::format("all tasks together may have {}, which {} gives", HumanBytes(memory),
                     memory < machine ? "the container" : "the machine"),
         ""});
  }
  struct rlimit space;
  if (getrlimit(RLIMIT_AS, &space) != 0) return;
  if (space.rlim_cur < kLeastAddressSpace) {
    findings->push_back({Severity::kFailure,
                         fmt::format("the address space is limited to {} (ulimit -v): there are no "
                                     "books and no limits",
                                     HumanBytes(space.rlim_cur)),
                         "limit memory by --quota and --memory instead"});
  } else if (space.rlim_cur != RLIM_INFINITY) {
    findings->push_back({Severity::kNote,
                         fmt::format("the address space is limited to {} (ulimit -v), of which the "
                                     "library wants 100 MiB",
                                     HumanBytes(space.rlim_cur)),
                         ""});
  }
}

void CheckFilters(Findings* findings) {
  std::ifstream status("/proc/self/status");
  if (!status) {
    findings->push_back(
        {Severity::kWarning, "there is no /proc: what is in memory is not known", "mount /proc"});
    return;
  }
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("Seccomp:") || line.find_first_of("12") == line.npos) continue;
    findings->push_back(
        {Severity::kNote,
         "system calls are filtered here (seccomp, a container's most often): the library keeps to "
         "those that are surely allowed, and contexts of sleeping threads are not collected",
         ""});
  }
  std::ifstream yama("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  if (yama >> scope && scope >= 2 && geteuid() != 0) {
    findings->push_back({Severity::kNote,
                         "no process may look at another's memory here: there are no audits",
                         "as root, or with ptrace_scope of 0 or 1"});
  }
}

void CheckPreloads(Findings* findings) {
  const char* const others = getenv("LD_PRELOAD");
  if (others == nullptr) return;
  const std::string_view text = others;
  for (const char* name : {"jemalloc", "tcmalloc", "mimalloc", "libasan", "libtsan"}) {
    if (text.find(name) == text.npos) continue;
    findings->push_back(
        {Severity::kNote,
         fmt::format("LD_PRELOAD names another allocator ({}): taskmem comes before "
                     "it",
                     name),
         "leave it out"});
  }
}

}  // namespace

void CheckHost(const Options& options, Findings* findings) {
  CheckMemory(findings);
  CheckBooks(options, findings);
  CheckSpillDir(options, findings);
  CheckFilters(findings);
  CheckPreloads(findings);
}

}  // namespace taskmem
