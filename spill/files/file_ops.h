// The file operations of spill/, one by one, so that tests can make each of them fail.
#ifndef TASKMEM_SPILL_FILES_FILE_OPS_H_
#define TASKMEM_SPILL_FILES_FILE_OPS_H_

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace taskmem {

// Each is the libc function of that name, which is called once, but returns -errno where
// it fails. `directory` may be AT_FDCWD. Thread-safe; allocates nothing.
class FileOps {
 public:
  virtual int OpenAt(int directory, const char* path, int flags, mode_t mode) {
    return OrError(openat(directory, path, flags, mode));
  }
  virtual int Close(int fd) { return OrError(close(fd)); }
  virtual ssize_t Write(int fd, const iovec* pieces, int count) {
    return OrError(writev(fd, pieces, count));
  }
  virtual ssize_t Read(int fd, void* memory, size_t bytes) {
    return OrError(read(fd, memory, bytes));
  }
  virtual int Truncate(int fd, int64_t bytes) { return OrError(ftruncate(fd, bytes)); }
  virtual int Sync(int fd) { return OrError(fsync(fd)); }
  virtual int RenameAt(int directory, const char* from, const char* to) {
    return OrError(renameat(directory, from, directory, to));
  }
  virtual int UnlinkAt(int directory, const char* path, int flags) {
    return OrError(unlinkat(directory, path, flags));
  }
  virtual int MkdirAt(int directory, const char* path, mode_t mode) {
    return OrError(mkdirat(directory, path, mode));
  }
  virtual int Stat(int fd, struct stat* status) { return OrError(fstat(fd, status)); }
  virtual int StatAt(int directory, const char* path, struct stat* status, int flags) {
    return OrError(fstatat(directory, path, status, flags));
  }
  // Whether the effective user may do `mode` (W_OK, ..) there.
  virtual int AccessAt(int directory, const char* path, int mode) {
    return OrError(faccessat(directory, path, mode, AT_EACCESS));
  }
  virtual int ChangeMode(int fd, mode_t mode) { return OrError(fchmod(fd, mode)); }
  virtual int StatFs(int fd, struct statvfs* status) { return OrError(fstatvfs(fd, status)); }
  // LOCK_NB is the caller's.
  virtual int Lock(int fd, int operation) { return OrError(flock(fd, operation)); }
  // getdents64(): bytes of dirent64, 0 at the end.
  virtual ssize_t ReadDirectory(int fd, void* memory, size_t bytes) {
    return OrError(getdents64(fd, memory, bytes));
  }

 protected:
  ~FileOps() = default;

 private:
  template <typename Answer>
  static Answer OrError(Answer answer) {
    return answer < 0 ? static_cast<Answer>(-errno) : answer;
  }
};

// The system calls.
FileOps& SystemFileOps();

// The descriptor under a number that programs do not count on (those that close "all"
// descriptors or expect the next one to be 3 do so with small ones); `fd` itself where
// there is none.
int MoveDescriptorUp(int fd);

// While one lives, file operations of this thread cannot end it or the process: no
// cancellation, and no SIGXFSZ for a file that gets too large (EFBIG says so). errno is
// what it was at the end. Not thread-safe: the thread's own.
class FileOpsGuard {
 public:
  FileOpsGuard();
  ~FileOpsGuard();
  FileOpsGuard(const FileOpsGuard&) = delete;
  FileOpsGuard& operator=(const FileOpsGuard&) = delete;

 private:
  int errno_;
  int cancel_state_ = 0;
  bool was_pending_ = false;
  sigset_t mask_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_FILE_OPS_H_
