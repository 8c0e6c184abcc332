#include "spill/files/spill_dir.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "spill/files/kept_in_memory.h"
#include "spill/files/left_overs.h"

namespace taskmem {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

bool HasNoTemporaryFiles(int error) {
  // An old kernel tries to open the directory for writing.
  return error == -EOPNOTSUPP || error == -EISDIR || error == -EINVAL || error == -ENOENT;
}

}  // namespace

DiskError SpillDir::Open(std::string_view path, MemoryLog* log, FileOps& ops) {
  const FileOpsGuard guard;
  if (path.empty() || path.find('\0') != path.npos) {
    return {DiskErrorCode::kInvalidArgument, 0, "the spill directory has no name"};
  }
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  char absolute[sizeof(path_)] = {};
  size_t length = 0;
  if (path[0] != '/') {
    if (getcwd(absolute, sizeof(absolute)) == nullptr) {
      return DiskErrorFrom(errno, "name the current directory");
    }
    length = strlen(absolute);
    if (length + 1 < sizeof(absolute)) absolute[length++] = '/';
  }
  if (path.size() >= sizeof(absolute) - length) {
    return {DiskErrorCode::kInvalidArgument, 0, "the name of the spill directory is too long"};
  }
  memcpy(absolute + length, path.data(), path.size());
  absolute[length + path.size()] = '\0';

  ops_ = &ops;
  log_ = log;
  pid_ = getpid();
  memcpy(path_, absolute, sizeof(path_));
  int base;
  DiskError error = OpenBase(/*may_make=*/true, &base);
  if (!error) {
    RemoveLeftOvers(ops, base, path_, log);
    const int access = ops.AccessAt(base, ".", W_OK | X_OK);
    if (access < 0) error = DiskErrorFrom(-access, "write to the spill directory");
    ops.Close(base);
  }
  if (error) path_[0] = '\0';
  return error;
}

DiskError SpillDir::OpenOwn(std::string_view path, MemoryLog* log, FileOps& ops) {
  must_be_own_ = true;
  return Open(path, log, ops);
}

DiskError SpillDir::CheckOwn(int base) {
  struct stat status;
  const int result = ops_->Stat(base, &status);
  if (result < 0) return DiskErrorFrom(-result, "open the spill directory");
  if (status.st_uid == geteuid() && (status.st_mode & 0777) == 0700) return {};
  return {DiskErrorCode::kNotPermitted, 0, "use the spill directory, which others may enter"};
}

DiskError SpillDir::MakeBase() {
  const int made = ops_->MkdirAt(AT_FDCWD, path_, 0700);
  if (made == -ENOENT) {
    return DiskErrorFrom(ENOENT, "make the spill directory, since the one above it is missing");
  }
  // Somebody else may make it at the same time.
  if (made < 0 && made != -EEXIST) return DiskErrorFrom(-made, "make the spill directory");
  return {};
}

DiskError SpillDir::OpenBase(bool may_make, int* base) {
  *base = ops_->OpenAt(AT_FDCWD, path_, kDirectory | O_NOFOLLOW, 0);
  if (*base == -ENOENT && may_make) {
    if (const DiskError error = MakeBase()) return error;
    *base = ops_->OpenAt(AT_FDCWD, path_, kDirectory | O_NOFOLLOW, 0);
  }
  if (must_be_own_ && *base >= 0) {
    const DiskError error = CheckOwn(*base);
    if (error) ops_->Close(*base);
    return error;
  }
  if (!must_be_own_ && (*base == -ELOOP || *base == -ENOTDIR)) {
    // A symbolic link is followed if this user, or root, made it.
    struct stat status;
    if (ops_->StatAt(AT_FDCWD, path_, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode)) {
      if (status.st_uid != geteuid() && status.st_uid != 0) {
        return {DiskErrorCode::kNotPermitted, 0, "use the spill directory, a symbolic link"};
      }
      *base = ops_->OpenAt(AT_FDCWD, path_, kDirectory, 0);
    }
  }
  return *base < 0 ? DiskErrorFrom(-*base, "open the spill directory") : DiskError();
}

DiskError SpillDir::Enter(Home* home) {
  constexpr const char* kDetail = "use the spill directory";
  if (!is_open()) return {DiskErrorCode::kClosed, 0, kDetail};
  // A child of vfork() has the memory of its parent: it must leave the books as they are.
  if (getpid() != pid_) return {DiskErrorCode::kWrongProcess, 0, kDetail};
  const MutexLock lock(mutex_);
  if (is_closed_) return {DiskErrorCode::kClosed, 0, kDetail};
  *home = home_;
  ++visits_;
  return {};
}

void SpillDir::Leave() {
  Home retired;
  {
    const MutexLock lock(mutex_);
    if (--visits_ > 0) return;
    // Nobody looks at it any more: no other file can be met under its number.
    retired = retired_;
    retired_ = Home();
  }
  CloseLock(retired);
}

DiskError SpillDir::OpenDirectory(int* fd, uint64_t* generation) {
  const FileOpsGuard guard;
  // Only while several threads find no directory at once, or somebody keeps removing it.
  for (int attempt = 0; attempt < 100; ++attempt) {
    const Visit visit(*this);
    if (visit.error) return visit.error;
    int base;
    if (const DiskError error = OpenBase(/*may_make=*/true, &base)) return error;
    Home home = visit.home;
    DiskError error = OpenHome(base, home, fd);
    bool is_settled = !error || error.code != DiskErrorCode::kVanished;
    if (!is_settled) {
      home = Home();
      error = MakeHome(base, &home, fd);
      is_settled = error || Publish(visit.home.generation, &home);
      if (!is_settled) DestroyHome(base, *fd, home);
    }
    ops_->Close(base);
    if (is_settled) {
      *generation = home.generation;
      return error;
    }
  }
  return {DiskErrorCode::kVanished, 0, "keep a directory in the spill directory"};
}

DiskError SpillDir::OpenExisting(uint64_t generation, int* fd) {
  const FileOpsGuard guard;
  const Visit visit(*this);
  if (visit.error) return visit.error;
  if (visit.home.generation != generation) {
    return {DiskErrorCode::kVanished, 0, "open the directory of the process"};
  }
  int base;
  if (const DiskError error = OpenBase(/*may_make=*/false, &base)) return error;
  const DiskError error = OpenHome(base, visit.home, fd);
  ops_->Close(base);
  return error;
}

DiskError SpillDir::OpenUnnamed(int* fd) {
  const Visit visit(*this);
  if (visit.error) return visit.error;
  int base;
  if (const DiskError error = OpenBase(/*may_make=*/true, &base)) return error;
  *fd = ops_->OpenAt(base, ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
  ops_->Close(base);
  return {};
}

DiskError SpillDir::OpenUnlinked(int64_t bytes, int* fd) {
  constexpr const char* kDetail = "make a file in the spill directory";
  const FileOpsGuard guard;
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && static_cast<rlim_t>(bytes) > limit.rlim_cur) {
    return {DiskErrorCode::kTooLarge, 0, kDetail};
  }
  int64_t free_bytes = 0;
  if (bytes > 0) {
    if (const DiskError error = FreeBytes(&free_bytes)) return error;
    if (free_bytes < bytes) return {DiskErrorCode::kNoSpace, 0, kDetail};
  }

  // Without a directory of the process's, which would be left where it is killed.
  if (const DiskError error = OpenUnnamed(fd)) return error;
  if (HasNoTemporaryFiles(*fd)) {
    int directory;
    uint64_t generation;
    if (const DiskError error = OpenDirectory(&directory, &generation)) return error;
    char name[kMaxSpillNameBytes];
    WriteUnlinkedFileName(unlinked_files_.fetch_add(1, std::memory_order_relaxed), name);
    *fd = ops_->OpenAt(directory, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd >= 0) {
      const int unlinked = ops_->UnlinkAt(directory, name, 0);
      if (unlinked < 0) {
        ops_->Close(*fd);
        *fd = unlinked;
      }
    }
    ops_->Close(directory);
  }
  if (*fd < 0) return DiskErrorFrom(-*fd, kDetail);
  ops_->ChangeMode(*fd, 0600);
  *fd = MoveDescriptorUp(*fd);
  return {};
}

DiskError SpillDir::FreeBytes(int64_t* bytes) {
  const FileOpsGuard guard;
  const Visit visit(*this);
  if (visit.error) return visit.error;
  int base;
  if (const DiskError error = OpenBase(/*may_make=*/true, &base)) return error;
  struct statvfs status;
  const int result = ops_->StatFs(base, &status);
  ops_->Close(base);
  if (result < 0) return DiskErrorFrom(-result, "see what is free in the spill directory");
  const unsigned __int128 free_bytes =
      static_cast<unsigned __int128>(status.f_bavail) * status.f_frsize;
  *bytes = free_bytes > INT64_MAX ? INT64_MAX : static_cast<int64_t>(free_bytes);
  return {};
}

DiskError SpillDir::IsInMemory(bool* in_memory) {
  const FileOpsGuard guard;
  const Visit visit(*this);
  if (visit.error) return visit.error;
  int base;
  if (const DiskError error = OpenBase(/*may_make=*/true, &base)) return error;
  *in_memory = IsInMemory(base);
  ops_->Close(base);
  return {};
}

bool SpillDir::IsInMemory(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) == 0 && IsKeptInMemory(status);
}

}  // namespace taskmem
