#include "tools/stats/mapped_books.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include "spill/files/kept_in_memory.h"

namespace taskmem {
namespace {

struct Mapping {
  std::string range;
  dev_t device = 0;
  ino_t inode = 0;
  std::string path;
};

// A line of /proc/PID/maps that shows the start of a file mapped shared and writable.
std::optional<Mapping> ParseLine(const std::string& line) {
  uint64_t start;
  uint64_t end;
  char rights[5];
  uint64_t offset;
  unsigned major_number;
  unsigned minor_number;
  uint64_t inode;
  int name = 0;
  if (sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start,
             &end, rights, &offset, &major_number, &minor_number, &inode, &name) != 7 ||
      std::string_view(rights) != "rw-s" || offset != 0 || name == 0) {
    return std::nullopt;
  }
  return Mapping{fmt::format("{:x}-{:x}", start, end), makedev(major_number, minor_number), inode,
                 line.substr(static_cast<size_t>(name))};
}

// <folder>/<pid>-<start time>
bool IsStatsFileName(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return false;
  const std::string_view name = path.substr(slash + 1);
  const size_t hyphen = name.find('-');
  constexpr std::string_view kDigits = "0123456789";
  return hyphen != name.npos && hyphen > 0 && hyphen + 1 < name.size() &&
         name.find_first_not_of(kDigits) == hyphen &&
         name.find_first_not_of(kDigits, hyphen + 1) == name.npos;
}

bool IsFile(const Mapping& mapping, const struct stat& status) {
  return status.st_dev == mapping.device && status.st_ino == mapping.inode;
}

// Opens `path` if that is the mapped file.
int OpenMapped(const Mapping& mapping, const std::string& path, int more_flags) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more_flags);
  if (fd < 0) return -1;
  struct stat status;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && IsFile(mapping, status)) return fd;
  close(fd);
  return -1;
}

// By its name here, or in the root of the process, or, as root, by the mapping itself.
void Open(pid_t pid, const Mapping& mapping, FoundBooks* found) {
  found->path = mapping.path;
  const std::string paths[] = {mapping.path, fmt::format("/proc/{}/root{}", pid, mapping.path),
                               fmt::format("/proc/{}/map_files/{}", pid, mapping.range)};
  for (const std::string& path : paths) {
    found->fd = OpenMapped(mapping, path, &path == &paths[2] ? 0 : O_NOFOLLOW);
    if (found->fd >= 0) return;
  }
}

}  // namespace

FoundBooks FindMappedBooks(pid_t pid, const struct stat* expected,
                           const std::string& expected_path) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  std::error_code error;
  std::string real;
  // The memory file systems of two mount name spaces can have the same names and numbers.
  struct statfs system;
  if (statfs(expected_path.c_str(), &system) == 0 && !IsKeptInMemory(system)) {
    real = std::filesystem::canonical(expected_path, error).string();
  }
  FoundBooks found;
  std::optional<Mapping> other;
  std::string line;
  while (std::getline(maps, line)) {
    found.which = MappedBooks::kNone;
    const auto mapping = ParseLine(line);
    if (!mapping) continue;
    // Some file systems show another device in a mapping than in a status.
    if (expected != nullptr && (IsFile(*mapping, *expected) ||
                                (mapping->path == real && mapping->inode == expected->st_ino))) {
      return {MappedBooks::kThese, -1, ""};
    }
    std::string_view path = mapping->path;
    constexpr std::string_view kDeleted = " (deleted)";
    if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
    if (IsStatsFileName(path)) other = mapping;
  }
  if (!other) return found;
  found.which = MappedBooks::kOthers;
  Open(pid, *other, &found);
  return found;
}

}  // namespace taskmem
