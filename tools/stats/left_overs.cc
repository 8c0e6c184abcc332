#include "tools/stats/left_overs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tools/stats/run_session.h"

namespace taskmem {
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

}  // namespace taskmem
