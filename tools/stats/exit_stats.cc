#include "tools/stats/exit_stats.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "accounting/audit/stats_layout.h"
#include "shim/options/exit_paths.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/stats/report.h"

namespace taskmem {
namespace {

// Says in the books that it is done.
void NoteWritten(const std::string& path, const struct stat& status) {
  // Who has looked at them before took the right to write away.
  if (chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) return;
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  const char nothing = '\0';
  if (pwrite(fd, &nothing, 1, offsetof(StatsHeader, exit_stats)) == 1) {
    // The day for which they stay has not begun anew.
    const struct timespec times[] = {status.st_atim, status.st_mtim};
    futimens(fd, times);
  }
  fchmod(fd, status.st_mode & 0777);
  close(fd);
}

}  // namespace

bool WriteExitStats(const StatsFile& file) {
  const ProcessStats& process = file.process;
  struct stat status;
  if (process.exit_stats.empty() || lstat(file.path.c_str(), &status) != 0 ||
      !S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
    return true;
  }
  char path[kExitPathBytes + kLabelBytes];
  if (!ExpandExitPath(process.exit_stats.c_str(), static_cast<unsigned>(process.pid),
                      process.label.c_str(), process.program.c_str(), path, sizeof(path))) {
    Say("the path of {} for process {} is too long", kExitStatsVariable, process.pid);
    return false;
  }
  if (const int error = WriteOutputFile(path, FormatJson(process, {}))) {
    Say("cannot write {}: {}", path, strerror(error));
    return false;
  }
  NoteWritten(file.path, status);
  return true;
}

}  // namespace taskmem
