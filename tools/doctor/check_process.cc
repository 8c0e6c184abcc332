#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

#include "tools/base/process_info.h"
#include "tools/doctor/doctor.h"
#include "tools/doctor/object_look.h"
#include "tools/doctor/objects.h"
#include "tools/stats/stats_files.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {
namespace {

constexpr size_t kMostObjects = 1000;

// The files of the process that are mapped to run, as they are reached from here: the program
// first.
std::vector<std::string> MappedFiles(pid_t pid, const std::string& program) {
  std::vector<std::string> files = {fmt::format("/proc/{}/exe", pid)};
  std::set<std::string> known = {program};
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  for (std::string line; std::getline(maps, line) && files.size() < kMostObjects;) {
    const size_t slash = line.find('/');
    const size_t rights = line.find(' ');
    if (slash == line.npos || rights == line.npos || rights + 4 > line.size()) continue;
    if (line[rights + 3] != 'x') continue;
    std::string path = line.substr(slash);
    if (path.ends_with(" (deleted)") || !known.insert(path).second) continue;
    files.push_back(fmt::format("/proc/{}/root{}", pid, path));
  }
  return files;
}

// The value of a line of /proc/PID/status; empty: there is none.
std::string StatusValue(pid_t pid, std::string_view name) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name) || line.size() <= name.size() + 1 || line[name.size()] != ':') {
      continue;
    }
    const size_t value = line.find_first_not_of(" \t", name.size() + 1);
    return value == line.npos ? "" : line.substr(value);
  }
  return "";
}

bool HasPreloadVariable(pid_t pid) {
  std::ifstream environment(fmt::format("/proc/{}/environ", pid), std::ios::binary);
  for (std::string entry; std::getline(environment, entry, '\0');) {
    if (entry.starts_with("LD_PRELOAD=")) return entry.find("libtaskmem.so") != entry.npos;
  }
  return false;
}

void CheckBooks(pid_t pid, const Options& options, const std::vector<ObjectLook>& objects,
                Findings* findings) {
  LiveBooks books(options, pid);
  const std::vector<ProcessStats> found = books.Read();
  if (!found.empty()) {
    findings->push_back(
        {Severity::kOk,
         fmt::format("process {} runs under taskmem, and its books can be read", pid), ""});
    return;
  }
  const bool has_library = std::any_of(
      objects.begin(), objects.end(),
      [](const ObjectLook& object) { return BaseName(object.path).starts_with("libtaskmem"); });
  if (has_library) {
    findings->push_back(
        {Severity::kWarning,
         fmt::format("process {} has the library, and no books that can be read", pid),
         "it may have no room in /dev/shm, another --stats-dir, or another version"});
  } else if (HasPreloadVariable(pid)) {
    findings->push_back({Severity::kFailure,
                         fmt::format("process {} was to preload the library, and has not", pid),
                         "a static program, or one with rights of its own, drops LD_PRELOAD"});
  } else {
    findings->push_back({Severity::kFailure,
                         fmt::format("process {} does not run under taskmem", pid),
                         "a process cannot be joined later: start it with taskmem run"});
  }
}

void CheckFilters(pid_t pid, Findings* findings) {
  const std::string filter = StatusValue(pid, "Seccomp");
  if (!filter.empty() && filter != "0") {
    findings->push_back(
        {Severity::kNote,
         "its system calls are filtered (seccomp): the library makes only those that an allocator "
         "cannot do without, so contexts of sleeping threads are not collected",
         ""});
  }
  const std::string tracer = StatusValue(pid, "TracerPid");
  if (!tracer.empty() && tracer != "0") {
    findings->push_back({Severity::kNote, "it is traced, by process " + tracer, ""});
  }
  const int memory = open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (memory >= 0) {
    close(memory);
    return;
  }
  findings->push_back({Severity::kNote, "its memory may not be read: there is no audit of it",
                       "as root, or where /proc/sys/kernel/yama/ptrace_scope is 0"});
}

}  // namespace

bool CheckProcess(pid_t pid, const Options& options, Findings* findings) {
  if (!StartTime(pid)) return false;
  std::error_code error;
  const std::string program =
      std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error).string();
  if (error) {
    findings->push_back({Severity::kWarning,
                         fmt::format("process {} may not be looked at, or is the kernel's", pid),
                         "look as its user, or as root"});
    return true;
  }
  std::vector<ObjectLook> objects;
  for (const std::string& path : MappedFiles(pid, program)) {
    objects.push_back(LookAtObject(path));
    if (path.ends_with("/exe")) objects.back().path = program;
  }
  if (objects.front().is_elf && objects.front().loader.empty()) {
    findings->push_back({Severity::kFailure, program + " is statically linked",
                         objects.front().is_go ? "GOMEMLIMIT bounds the heap of a Go program"
                                               : "link it dynamically"});
  } else if (objects.front().loader.find("ld-musl") != std::string::npos) {
    findings->push_back({Severity::kFailure, program + " uses musl, and the library needs glibc",
                         "use a build for glibc"});
  }
  CheckBooks(pid, options, objects, findings);
  CheckObjects(BaseName(program), objects, findings);
  CheckFilters(pid, findings);
  return true;
}

}  // namespace taskmem
