// The directory of this process in the spill directory.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "spill/files/left_overs.h"
#include "spill/files/process_start.h"
#include "spill/files/spill_dir.h"

namespace taskmem {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool HasNoLocks(int error) {
  return error == -ENOLCK || error == -ENOSYS || error == -EOPNOTSUPP || error == -EINVAL;
}

}  // namespace

DiskError SpillDir::OpenHome(int base, const Home& home, int* fd) {
  constexpr const char* kDetail = "open the directory of the process";
  if (!home.exists) return {DiskErrorCode::kVanished, 0, kDetail};
  char name[kMaxSpillNameBytes];
  WriteSpillDirName(home.name, name);
  *fd = ops_->OpenAt(base, name, kDirectory, 0);
  if (*fd == -ENOTDIR || *fd == -ELOOP) return {DiskErrorCode::kVanished, 0, kDetail};
  if (*fd < 0) return DiskErrorFrom(-*fd, kDetail);
  struct stat status;
  const int result = ops_->Stat(*fd, &status);
  if (result == 0 && status.st_dev == home.device && status.st_ino == home.inode) {
    if (!HoldsLock(home)) LockAgain(*fd, home);
    return {};
  }
  ops_->Close(*fd);
  if (result < 0) return DiskErrorFrom(-result, kDetail);
  return {DiskErrorCode::kVanished, 0, kDetail};
}

DiskError SpillDir::MakeHome(int base, Home* home, int* fd) {
  home->name.pid = pid_;
  home->name.start_time = ProcessStartTime(*ops_, pid_);
  // The name is taken where a process of another pid name space has the same pid and start,
  // or what somebody else put there has it.
  bool is_taken = true;
  for (uint32_t suffix = 0; suffix < 1000; ++suffix) {
    home->name.suffix = suffix;
    const DiskError error = TryMakeHome(base, home, fd, &is_taken);
    if (!is_taken) return error;
  }
  return DiskErrorFrom(EEXIST, "make a directory in the spill directory");
}

DiskError SpillDir::TryMakeHome(int base, Home* home, int* fd, bool* is_taken) {
  constexpr const char* kDetail = "make a directory in the spill directory";
  *is_taken = false;
  char name[kMaxSpillNameBytes];
  WriteSpillDirName(home->name, name);
  const int made = ops_->MkdirAt(base, name, 0700);
  const bool is_new = made == 0;
  if (!is_new && made != -EEXIST) return DiskErrorFrom(-made, kDetail);

  // One that exists can be of this process from before an exec.
  *fd = ops_->OpenAt(base, name, kDirectory, 0);
  if (*fd < 0) {
    if (is_new && *fd != -ENOENT) {
      ops_->UnlinkAt(base, name, AT_REMOVEDIR);
      return DiskErrorFrom(-*fd, kDetail);
    }
    *is_taken = *fd != -EMFILE && *fd != -ENFILE;
    return *is_taken ? DiskError() : DiskErrorFrom(-*fd, kDetail);
  }
  struct stat status;
  int result = ops_->Stat(*fd, &status);
  if (result == 0 && status.st_uid != geteuid()) result = -EWOULDBLOCK;
  // The umask may have taken more than it should.
  if (result == 0 && (status.st_mode & 07777) != 0700) result = ops_->ChangeMode(*fd, 0700);
  const int lock = result == 0 ? LockSpillDir(*ops_, *fd) : result;
  if (lock < 0 && !(is_new && HasNoLocks(lock))) {
    ops_->Close(*fd);
    *is_taken = lock == -EWOULDBLOCK || HasNoLocks(lock);
    if (*is_taken) return {};
    if (is_new) ops_->UnlinkAt(base, name, AT_REMOVEDIR);
    return DiskErrorFrom(-lock, kDetail);
  }
  if (!is_new) RemoveSpillFiles(*ops_, *fd);
  home->exists = true;
  home->device = status.st_dev;
  home->inode = status.st_ino;
  home->lock_fd = lock < 0 ? -1 : MoveDescriptorUp(lock);
  home->lock_inode =
      home->lock_fd >= 0 && ops_->Stat(home->lock_fd, &status) == 0 ? status.st_ino : 0;
  return {};
}

void SpillDir::DestroyHome(int base, int fd, const Home& home) {
  RemoveSpillDir(*ops_, base, home.name, fd);
  ops_->Close(fd);
  CloseLock(home);
}

bool SpillDir::Publish(uint64_t generation, Home* home) {
  const MutexLock lock(mutex_);
  if (is_closed_ || home_.generation != generation) return false;
  home->generation = generation + 1;
  retired_ = home_;
  home_ = *home;
  return true;
}

bool SpillDir::HoldsLock(const Home& home) {
  // The program may have closed it, and its number may be that of another file now.
  struct stat status;
  return home.lock_fd >= 0 && ops_->Stat(home.lock_fd, &status) == 0 &&
         status.st_dev == home.device && status.st_ino == home.lock_inode;
}

void SpillDir::LockAgain(int fd, const Home& home) {
  const int lock = LockSpillDir(*ops_, fd);
  if (lock < 0) return;
  Home locked = home;
  locked.lock_fd = MoveDescriptorUp(lock);
  struct stat status;
  locked.lock_inode = ops_->Stat(locked.lock_fd, &status) == 0 ? status.st_ino : 0;
  {
    const MutexLock guard(mutex_);
    if (!is_closed_ && home_.generation == home.generation && home_.lock_fd == home.lock_fd) {
      home_ = locked;
      return;
    }
  }
  CloseLock(locked);
}

void SpillDir::CloseLock(const Home& home) {
  if (HoldsLock(home)) ops_->Close(home.lock_fd);
}

void SpillDir::Remove() {
  const FileOpsGuard guard;
  const Visit visit(*this);
  if (visit.error) return;
  Home home;
  {
    const MutexLock lock(mutex_);
    if (is_closed_) return;
    is_closed_ = true;
    home = home_;
    retired_ = home_;
    home_ = Home();
  }
  if (!home.exists) return;
  int base;
  int fd;
  if (!OpenBase(/*may_make=*/false, &base)) {
    if (!OpenHome(base, home, &fd)) {
      RemoveSpillDir(*ops_, base, home.name, fd);
      ops_->Close(fd);
    }
    ops_->Close(base);
  }
}

void SpillDir::ResetInChild() {
  mutex_.ResetAfterFork();
  // A signal handler that interrupted this thread amid it: what it finds is half changed.
  if (!is_open() || mutex_.IsHeldByThisThread()) return;
  const FileOpsGuard guard;
  // The lock stays the parent's, which has the same open file.
  CloseLock(home_);
  const uint64_t generation = home_.generation;
  home_ = Home();
  home_.generation = generation + 1;
  retired_ = Home();
  visits_ = 0;
  pid_ = getpid();
}

}  // namespace taskmem
