#include "tools/stats/stats_dirs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>

#include "shim/base/user_directory.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

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

}  // namespace taskmem
