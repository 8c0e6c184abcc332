#include "spill/files/process_start.h"

#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <cstdio>

#include "accounting/base/process_stat.h"

namespace taskmem {

uint64_t ProcessStartTime(FileOps& ops, pid_t pid) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const int fd = ops.OpenAt(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return 0;
  char text[1024];
  const ssize_t length = ops.Read(fd, text, sizeof(text) - 1);
  ops.Close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  return ProcessStatNumber(text, kStatStartTime);
}

bool IsProcessAlive(FileOps& ops, pid_t pid, uint64_t start_time) {
  if (kill(pid, 0) != 0 && errno == ESRCH) return false;
  const uint64_t current = ProcessStartTime(ops, pid);
  return current == 0 || current == start_time;
}

}  // namespace taskmem
