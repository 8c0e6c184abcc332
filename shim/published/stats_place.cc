#include "shim/published/stats_place.h"

#include <errno.h>

#include <cstdio>
#include <cstring>

#include "shim/base/os.h"
#include "shim/base/user_directory.h"
#include "shim/options/options.h"

namespace taskmem {
namespace {

constexpr char kSharedMemory[] = "/dev/shm";  // StatsParent(), but for odd machines

char g_dir[256];
bool g_is_users_dir = false;  // g_dir is the user's directory in StatsParent(); else it was named
char g_name[32];              // empty while the books are private

// A descriptor of the directory that a user named, made where there is none.
long OpenNamedDir() {
  constexpr long kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const auto path = reinterpret_cast<long>(g_dir);
  const long fd = os::Call(SYS_openat, AT_FDCWD, path, kFlags);
  if (fd != -ENOENT) return fd;
  os::Call(SYS_mkdirat, AT_FDCWD, path, 0700);
  return os::Call(SYS_openat, AT_FDCWD, path, kFlags);
}

// A descriptor of g_dir. The user's directory may have gone, or the user is another one now: then
// `may_choose` another one.
long OpenDir(bool may_choose) {
  if (!g_is_users_dir) return OpenNamedDir();
  if (g_dir[0] != '\0') {
    const int fd = OpenOwnDirectory(g_dir);
    if (fd >= 0 || !may_choose) return fd;
  }
  char path[kUserDirectoryBytes];
  int fd = OpenUserDirectory(kSharedMemory, path);
  if (fd < 0 && strcmp(StatsParent(), kSharedMemory) != 0) {
    fd = OpenUserDirectory(StatsParent(), path);
  }
  memcpy(g_dir, path, sizeof(path));
  return fd;
}

// A new file in the directory `dir`, or -errno.
long CreateFile(long dir, const char* name) {
  const auto create = [&] {
    return os::Call(SYS_openat, dir, reinterpret_cast<long>(name),
                    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  };
  const long fd = create();
  if (fd != -EEXIST) return fd;
  // An exec keeps pid and start time: the file of the image before.
  RemoveStatsFile(dir, name);
  return create();
}

}  // namespace

void ChooseStatsDir(const char* dir) {
  snprintf(g_dir, sizeof(g_dir), "%s", dir);
  g_is_users_dir = g_dir[0] == '\0';
}

const char* StatsDirPath() { return g_dir; }

NewStatsFile CreateStatsFile(const char* name) {
  long dir = OpenDir(true);
  if (os::Failed(dir)) return {dir, dir};
  long fd = CreateFile(dir, name);
  if (fd == -ENOENT) {
    // Somebody has just removed the empty directory.
    os::Call(SYS_close, dir);
    dir = OpenDir(true);
    fd = os::Failed(dir) ? dir : CreateFile(dir, name);
  }
  return {dir, fd};
}

void RemoveStatsFile(long dir, const char* name) {
  os::Call(SYS_unlinkat, dir, reinterpret_cast<long>(name), 0);
}

void NoteListed(const char* name) { snprintf(g_name, sizeof(g_name), "%s", name); }
void NoteUnlisted() { g_name[0] = '\0'; }
bool IsListed() { return g_name[0] != '\0'; }

long OpenStatsFile() {
  const long dir = OpenDir(false);
  if (os::Failed(dir)) return dir;
  const long fd = os::Call(SYS_openat, dir, reinterpret_cast<long>(g_name),
                           O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  os::Call(SYS_close, dir);
  return fd;
}

void RemoveListedFile() {
  const long dir = OpenDir(false);
  RemoveStatsFile(dir, g_name);
  os::Call(SYS_close, dir);
}

}  // namespace taskmem
