// A disk that fails. Preloaded after the library, it takes the place of libc's functions that
// write files, and lets them fail in one directory, for everybody in the process.
//
//   FAILING_DISK_DIRECTORY    where: files below this directory
//   FAILING_DISK_OPERATION    what fails: write (also what makes a file longer), open (of a file
//                             for writing), rename, sync
//   FAILING_DISK_ERROR        how: a number of errno, or kill: the process is killed by SIGKILL
//   FAILING_DISK_AFTER        not before so many bytes were written, or so many operations done.
//                             The write that passes that is a short one.
//   FAILING_DISK_WHILE        only while there is a file of this name; unset: always
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace {

struct Faults {
  char directory[PATH_MAX];
  const char* operation;
  const char* only_while;
  int error;  // 0: none
  bool kills;
};

Faults g_faults;
std::atomic<int64_t> g_left{0};

__attribute__((constructor)) void ReadEnvironment() {
  const char* const directory = getenv("FAILING_DISK_DIRECTORY");
  const char* const operation = getenv("FAILING_DISK_OPERATION");
  const char* const error = getenv("FAILING_DISK_ERROR");
  const char* const after = getenv("FAILING_DISK_AFTER");
  if (directory == nullptr || operation == nullptr || error == nullptr) return;
  if (realpath(directory, g_faults.directory) == nullptr) return;
  g_faults.operation = operation;
  g_faults.only_while = getenv("FAILING_DISK_WHILE");
  g_faults.kills = strcmp(error, "kill") == 0;
  g_left = after == nullptr ? 0 : atoll(after);
  g_faults.error = g_faults.kills ? EINTR : atoi(error);
}

bool IsOn(const char* operation) {
  if (g_faults.error == 0 || strcmp(operation, g_faults.operation) != 0) return false;
  return g_faults.only_while == nullptr ||
         syscall(SYS_faccessat, AT_FDCWD, g_faults.only_while, F_OK) == 0;
}

bool IsBelow(const char* path) {
  const size_t length = strlen(g_faults.directory);
  return strncmp(path, g_faults.directory, length) == 0 && path[length] == '/';
}

bool IsInDirectory(int fd) {
  char link[32] = "/proc/self/fd/";
  char digits[12];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + fd % 10);
    fd /= 10;
  } while (fd > 0);
  char* at = link + strlen(link);
  while (count > 0) *at++ = digits[--count];
  *at = '\0';
  char path[PATH_MAX];
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
  if (length <= 0) return false;
  path[length] = '/';
  path[length + 1 < PATH_MAX ? length + 1 : length] = '\0';
  return IsBelow(path);
}

// How many of `bytes` may still be done before it fails.
int64_t Allowed(int64_t bytes) {
  int64_t left = g_left.load();
  int64_t taken;
  do {
    taken = bytes < left ? bytes : left;
  } while (!g_left.compare_exchange_weak(left, left - taken));
  return taken;
}

int Fail() {
  if (g_faults.kills) kill(getpid(), SIGKILL);
  errno = g_faults.error;
  return -1;
}

// An operation on `fd` that does or does not happen.
bool Fails(const char* operation, int fd) {
  return fd >= 0 && IsOn(operation) && IsInDirectory(fd) && Allowed(1) == 0;
}

bool FailsToWrite(int fd, int64_t bytes, int64_t* allowed) {
  *allowed = bytes;
  if (bytes <= 0 || fd < 0 || !IsOn("write") || !IsInDirectory(fd)) return false;
  *allowed = Allowed(bytes);
  return *allowed == 0;
}

// The first pieces of `from` that are `bytes` long in all. Returns how many.
int Cut(const iovec* from, int count, int64_t bytes, iovec (&to)[IOV_MAX]) {
  int pieces = 0;
  for (; pieces < count && bytes > 0; ++pieces) {
    to[pieces] = from[pieces];
    const auto most = static_cast<size_t>(bytes);
    if (to[pieces].iov_len > most) to[pieces].iov_len = most;
    bytes -= static_cast<int64_t>(to[pieces].iov_len);
  }
  return pieces;
}

int64_t LengthOf(const iovec* pieces, int count) {
  int64_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += static_cast<int64_t>(pieces[i].iov_len);
  return bytes;
}

int64_t FileLength(int fd) {
  const off_t at = lseek(fd, 0, SEEK_CUR);
  const off_t end = lseek(fd, 0, SEEK_END);
  lseek(fd, at, SEEK_SET);
  return end;
}

int OpenAt(int directory, const char* path, int flags, mode_t mode) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (writes && IsOn("open")) {
    const bool is_below = path[0] == '/'          ? IsBelow(path)
                          : directory == AT_FDCWD ? false
                                                  : IsInDirectory(directory);
    if (is_below && Allowed(1) == 0) return Fail();
  }
  return static_cast<int>(syscall(SYS_openat, directory, path, flags, mode));
}

int Allocate(int fd, int mode, off_t offset, off_t bytes) {
  int64_t allowed;
  const int64_t growth = offset + bytes - FileLength(fd);
  if (FailsToWrite(fd, growth, &allowed) || (growth > 0 && allowed < growth)) return Fail();
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, bytes));
}

int Truncate(int fd, off_t length) {
  int64_t allowed;
  const int64_t growth = length - FileLength(fd);
  if (FailsToWrite(fd, growth, &allowed) || (growth > 0 && allowed < growth)) return Fail();
  return static_cast<int>(syscall(SYS_ftruncate, fd, length));
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  int64_t allowed;
  if (FailsToWrite(fd, static_cast<int64_t>(count), &allowed)) return Fail();
  return syscall(SYS_write, fd, bytes, static_cast<size_t>(allowed));
}

ssize_t writev(int fd, const iovec* pieces, int count) {
  int64_t allowed;
  const int64_t bytes = LengthOf(pieces, count);
  if (FailsToWrite(fd, bytes, &allowed)) return Fail();
  if (allowed >= bytes) return syscall(SYS_writev, fd, pieces, count);
  iovec cut[IOV_MAX];
  return syscall(SYS_writev, fd, cut, Cut(pieces, count, allowed, cut));
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  int64_t allowed;
  if (FailsToWrite(fd, static_cast<int64_t>(count), &allowed)) return Fail();
  return syscall(SYS_pwrite64, fd, bytes, static_cast<size_t>(allowed), offset);
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off_t offset) {
  return pwrite(fd, bytes, count, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  return Allocate(fd, mode, offset, bytes);
}

int fallocate64(int fd, int mode, off_t offset, off_t bytes) {
  return Allocate(fd, mode, offset, bytes);
}

int posix_fallocate(int fd, off_t offset, off_t bytes) {
  const int saved_errno = errno;
  const int result = Allocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
  errno = saved_errno;
  return result;
}

int posix_fallocate64(int fd, off_t offset, off_t bytes) {
  return posix_fallocate(fd, offset, bytes);
}

int ftruncate(int fd, off_t length) noexcept { return Truncate(fd, length); }

int ftruncate64(int fd, off_t length) noexcept { return Truncate(fd, length); }

int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return OpenAt(directory, path, flags, mode);
}

int openat64(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return OpenAt(directory, path, flags, mode);
}

int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  if (Fails("rename", to_directory)) return Fail();
  return static_cast<int>(syscall(SYS_renameat, from_directory, from, to_directory, to));
}

int fsync(int fd) {
  if (Fails("sync", fd)) return Fail();
  return static_cast<int>(syscall(SYS_fsync, fd));
}

int fdatasync(int fd) {
  if (Fails("sync", fd)) return Fail();
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

}  // extern "C"
