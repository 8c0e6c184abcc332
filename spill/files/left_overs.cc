#include "spill/files/left_overs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "spill/files/process_start.h"

namespace taskmem {
namespace {

// visit(const char* name) for each entry of `directory`, which it may remove. Returns false
// where not all could be read.
template <typename Visit>
bool ForEachName(FileOps& ops, int directory, Visit visit) {
  // A descriptor of its own: where it stands is not the caller's business.
  const int fd = ops.OpenAt(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  alignas(dirent64) char entries[4096];
  ssize_t length;
  while ((length = ops.ReadDirectory(fd, entries, sizeof(entries))) > 0) {
    for (ssize_t at = 0; at < length;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries + at);
      visit(entry->d_name);
      at += entry->d_reclen;
    }
  }
  ops.Close(fd);
  return length == 0;
}

bool IsOwnDirectory(FileOps& ops, int fd) {
  struct stat status;
  return ops.Stat(fd, &status) == 0 && status.st_uid == geteuid();
}

void RemoveIfLeftOver(FileOps& ops, int base, const SpillDirName& name, const char* base_path,
                      MemoryLog* log) {
  // What this process made before an exec is nobody's now; what it has now is locked.
  if (name.pid != getpid() && IsProcessAlive(ops, name.pid, name.start_time)) return;
  char text[kMaxSpillNameBytes];
  WriteSpillDirName(name, text);
  const int directory = ops.OpenAt(base, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (directory < 0) return;
  if (IsOwnDirectory(ops, directory)) {
    const int lock = LockSpillDir(ops, directory);
    if (lock >= 0) {
      if (RemoveSpillDir(ops, base, name, directory)) {
        LogLine(log, LogLevel::kInfo, "Removed %s/%s, which process %d left", base_path, text,
                name.pid);
      } else {
        LogLine(log, LogLevel::kWarn, "Could not remove all of %s/%s, which process %d left",
                base_path, text, name.pid);
      }
      ops.Close(lock);
    }
  }
  ops.Close(directory);
}

}  // namespace

int LockSpillDir(FileOps& ops, int directory) {
  const int lock = ops.OpenAt(directory, kSpillLockName,
                              O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  // The directory was removed as it was opened.
  if (lock == -ENOENT) return -EWOULDBLOCK;
  if (lock < 0) return lock;
  int result = ops.Lock(lock, LOCK_EX | LOCK_NB);
  struct stat status;
  if (result == 0) result = ops.Stat(lock, &status);
  // Who had it before has removed it, or is about to remove the directory.
  if (result == 0 && status.st_nlink == 0) result = -EWOULDBLOCK;
  if (result == 0) return lock;
  ops.Close(lock);
  return result;
}

int RemoveSpillFiles(FileOps& ops, int directory) {
  int removed = 0;
  // Entries may be missed while others are removed.
  for (bool again = true; again;) {
    again = false;
    ForEachName(ops, directory, [&](const char* name) {
      if (!IsSpillFileName(name) || ops.UnlinkAt(directory, name, 0) != 0) return;
      ++removed;
      again = true;
    });
  }
  return removed;
}

bool RemoveSpillDir(FileOps& ops, int base, const SpillDirName& name, int directory) {
  char text[kMaxSpillNameBytes];
  WriteSpillDirName(name, text);
  // Threads of the process that ends may still be making files.
  for (int attempt = 0; attempt < 3; ++attempt) {
    RemoveSpillFiles(ops, directory);
    ops.UnlinkAt(directory, kSpillLockName, 0);
    if (ops.UnlinkAt(base, text, AT_REMOVEDIR) == 0) return true;
  }
  return false;
}

void RemoveLeftOvers(FileOps& ops, int base, const char* base_path, MemoryLog* log) {
  ForEachName(ops, base, [&](const char* text) {
    SpillDirName name;
    if (ParseSpillDirName(text, &name)) RemoveIfLeftOver(ops, base, name, base_path, log);
  });
}

}  // namespace taskmem
