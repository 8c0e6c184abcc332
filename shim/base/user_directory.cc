#include "shim/base/user_directory.h"

#include <dirent.h>
#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
constexpr size_t kDigits = 16;

long Open(const char* path, int flags) {
  return os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), flags);
}

void Close(long fd) { os::Call(SYS_close, fd); }

void FirstPath(const char* parent, char (&path)[kUserDirectoryBytes]) {
  snprintf(path, sizeof(path), "%.32s/taskmem-%u", parent, static_cast<unsigned>(geteuid()));
}

// Whether `name` is `first`, of `length` bytes, a hyphen and hex digits.
bool IsOtherName(const char* name, const char* first, size_t length) {
  return strncmp(name, first, length) == 0 && name[length] == '-' &&
         strlen(name) == length + 1 + kDigits &&
         strspn(name + length + 1, "0123456789abcdef") == kDigits;
}

// visit(name) for each of the other names in `parent`.
template <typename Visit>
void ForEachOtherName(const char* parent, Visit visit) {
  char first[kUserDirectoryBytes];
  FirstPath("", first);
  const size_t length = strlen(first + 1);
  const long fd = Open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (os::Failed(fd)) return;
  alignas(dirent64) char entries[4096];
  for (;;) {
    const long bytes =
        os::Call(SYS_getdents64, fd, reinterpret_cast<long>(entries), sizeof(entries));
    if (bytes <= 0) break;
    for (long at = 0; at < bytes;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries + at);
      if (IsOtherName(entry->d_name, first + 1, length)) visit(entry->d_name);
      at += entry->d_reclen;
    }
  }
  Close(fd);
}

// The first, by the alphabet, of the names that is the user's, so that all who look choose the same
// one: somebody else may add names, but none that is the user's.
int OpenOther(const char* parent, char (&path)[kUserDirectoryBytes]) {
  char best[kUserDirectoryBytes] = "";
  ForEachOtherName(parent, [&](const char* name) {
    char candidate[kUserDirectoryBytes];
    snprintf(candidate, sizeof(candidate), "%.32s/%.46s", parent, name);
    if (best[0] != '\0' && strcmp(candidate, best) >= 0) return;
    const int fd = OpenOwnDirectory(candidate);
    if (fd < 0) return;
    Close(fd);
    memcpy(best, candidate, sizeof(best));
  });
  if (best[0] == '\0') return -ENOENT;
  memcpy(path, best, sizeof(path));
  return OpenOwnDirectory(path);
}

int Make(const char* path) {
  const long made = os::Call(SYS_mkdirat, AT_FDCWD, reinterpret_cast<long>(path), 0700);
  if (os::Failed(made)) return static_cast<int>(made);
  // The umask may have taken more than it should.
  os::Call(SYS_fchmodat, AT_FDCWD, reinterpret_cast<long>(path), 0700);
  return OpenOwnDirectory(path);
}

uint64_t Random() {
  uint64_t number = 0;
  const long bytes =
      os::Call(SYS_getrandom, reinterpret_cast<long>(&number), sizeof(number), GRND_NONBLOCK);
  // Before the system has gathered any there are no users who could try names.
  return bytes == sizeof(number) ? number : os::MonotonicNs();
}

}  // namespace

int OpenOwnDirectory(const char* path) {
  const long fd = Open(path, kDirectory);
  if (os::Failed(fd)) return static_cast<int>(fd);
  struct stat status;
  const long result = os::Call(SYS_fstat, fd, reinterpret_cast<long>(&status));
  if (!os::Failed(result) && status.st_uid == geteuid() && (status.st_mode & 0777) == 0700) {
    return static_cast<int>(fd);
  }
  Close(fd);
  return os::Failed(result) ? static_cast<int>(result) : -EPERM;
}

int OpenUserDirectory(const char* parent, char (&path)[kUserDirectoryBytes]) {
  FirstPath(parent, path);
  int fd = OpenOwnDirectory(path);
  if (fd == -ENOENT) fd = Make(path);
  // Another process of this user was faster.
  if (fd == -EEXIST) fd = OpenOwnDirectory(path);
  if (fd >= 0 || fd == -EMFILE || fd == -ENFILE) return fd;
  const int why = fd;
  struct stat status;
  if (os::Failed(os::Call(SYS_newfstatat, AT_FDCWD, reinterpret_cast<long>(path),
                          reinterpret_cast<long>(&status), AT_SYMLINK_NOFOLLOW))) {
    return why;  // nobody has the name: it is the parent that fails
  }
  fd = OpenOther(parent, path);
  for (int attempt = 0; fd < 0 && attempt < 8; ++attempt) {
    FirstPath(parent, path);
    const size_t length = strlen(path);
    snprintf(path + length, sizeof(path) - length, "-%016llx",
             static_cast<unsigned long long>(Random()));
    fd = Make(path);
  }
  return fd;
}

void ForEachUserDirectory(const char* parent,
                          void (*visit)(void* context, const char* path, int fd), void* context) {
  const auto visit_own = [&](const char* path) {
    const int fd = OpenOwnDirectory(path);
    if (fd < 0) return;
    visit(context, path, fd);
    Close(fd);
  };
  char path[kUserDirectoryBytes];
  FirstPath(parent, path);
  visit_own(path);
  ForEachOtherName(parent, [&](const char* name) {
    snprintf(path, sizeof(path), "%.32s/%.46s", parent, name);
    visit_own(path);
  });
}

}  // namespace taskmem
