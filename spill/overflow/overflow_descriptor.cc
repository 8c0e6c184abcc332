// The descriptor of the overflow file, which the program may close, and what a forked child needs
// to open another.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spill/overflow/overflow_file.h"

namespace taskmem {

OverflowFile::File OverflowFile::CurrentFile() {
  MutexLock lock(mutex_);
  return file_;
}

bool OverflowFile::IsOpen(const File& file) {
  struct stat status = {};
  return file.fd >= 0 && fstat(file.fd, &status) == 0 && status.st_dev == file.device &&
         status.st_ino == file.inode;
}

void OverflowFile::KeepReserve(const File& file) {
  // Above what programs count on, where they may have so many.
  constexpr int kLeast = 512;
  for (int& reserve : reserve_) {
    reserve = fcntl(file.fd, F_DUPFD_CLOEXEC, kLeast);
    if (reserve < 0) reserve = fcntl(file.fd, F_DUPFD_CLOEXEC, 3);
  }
}

void OverflowFile::GiveReserveUp(const File& file) {
  for (int& reserve : reserve_) {
    // Unless the program closed it, and something else has its number.
    if (IsOpen({reserve, file.number, file.device, file.inode})) close(reserve);
    reserve = -1;
  }
}

// The current file, or a new one where the program closed its descriptor.
bool OverflowFile::EnsureFile(OverflowFileSource& source, File* file) {
  *file = CurrentFile();
  if (IsOpen(*file)) return true;
  const int fd = source.OpenUnlinked();
  struct stat status = {};
  if (fd < 0) return false;
  if (fstat(fd, &status) != 0) {
    close(fd);
    return false;
  }
  MutexLock lock(mutex_);
  if (file_.number == file->number) {
    GiveReserveUp(file_);
    file_ = {fd, file->number + 1, status.st_dev, status.st_ino};
    KeepReserve(file_);
  } else {
    close(fd);  // another thread was first
  }
  *file = file_;
  return true;
}

}  // namespace taskmem
