// The directory that the user named for what does not fit into memory, and in it the one
// of this process.
//
//     <spill-dir>/taskmem-<pid>-<start time>[-<n>]/lock          locked while its process lives
//                                                 /block-...     see DiskStore
//                                                 /unlinked-...  for a moment, see OpenUnlinked
//     <spill-dir>/<no name>                                          OpenUnlinked, where it can be
//
// A process that was killed leaves its directory behind; the next one that starts removes it.
// Whether the process is dead is told by two signs, and both must agree: there is no process
// of that pid and start time (which a process of another pid name space may not see), and
// the lock is free (which a program that closes all its descriptors loses).
#ifndef TASKMEM_SPILL_FILES_SPILL_DIR_H_
#define TASKMEM_SPILL_FILES_SPILL_DIR_H_

#include <sys/types.h>

#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "accounting/base/fork_locks.h"
#include "accounting/base/memory_log.h"
#include "accounting/base/mutex.h"
#include "spill/files/disk_error.h"
#include "spill/files/file_ops.h"
#include "spill/files/spill_names.h"

namespace taskmem {

// Thread-safe, except Open and the calls around fork(). No lock is held during I/O. Takes no
// memory. Every call keeps errno. It needs no destruction.
class SpillDir {
 public:
  static constexpr size_t kMaxPathBytes = PATH_MAX - 64;

  constexpr SpillDir() = default;
  SpillDir(const SpillDir&) = delete;
  SpillDir& operator=(const SpillDir&) = delete;

  // At start-up, once: makes `path` (its last level only, 0700) where it does not exist,
  // checks that it is a directory one can write to, and removes what dead processes of this
  // user left in it. Makes no directory for this process yet. A relative path is taken from
  // the current directory of now. On an error it stays closed. `log` (may be null) and
  // `ops` must outlive this.
  DiskError Open(std::string_view path, MemoryLog* log = nullptr, FileOps& ops = SystemFileOps());
  // The same, of a directory that must be this user's, closed to others (mode 0700), and no
  // link, whenever it is used: one in a place where others may make such a name.
  DiskError OpenOwn(std::string_view path, MemoryLog* log = nullptr,
                    FileOps& ops = SystemFileOps());
  bool is_open() const { return path_[0] != '\0'; }

  // The user's directory, absolute; "" while it is not open.
  const char* path() const { return path_; }

  // A descriptor of this process's directory, the caller's to close. Makes the directory
  // if there is none, or if somebody removed it. `generation`: changes whenever the directory
  // is another one, so that what was in the former is lost.
  DiskError OpenDirectory(int* fd, uint64_t* generation);
  // As above, but only if it is still the directory of `generation`: else kVanished.
  DiskError OpenExisting(uint64_t generation, int* fd);

  // A file without a name in path(), 0600, empty, for reading and writing; gone when it is closed.
  // The caller's to close; its number is a high one, and it is closed by exec. `bytes` (0: not
  // known) is what it is going to have: kNoSpace or kTooLarge where that cannot be. Nothing is
  // reserved.
  DiskError OpenUnlinked(int64_t bytes, int* fd);

  // Bytes that the file system still has for its users; a quota is not in it.
  DiskError FreeBytes(int64_t* bytes);
  // The files are kept in memory (tmpfs, ramfs): writing there saves none.
  DiskError IsInMemory(bool* in_memory);
  // Of any open file.
  static bool IsInMemory(int fd);

  // At the end of the process: removes its directory with all files the stores made. No more
  // is made after that: kClosed.
  void Remove();

  // Around fork(): in the thread that calls it, and after it in the child.
  // The child has no directory until it needs one, and never touches the parent's.
  void AddLocks(ForkLocks* locks) { locks->Add(mutex_); }
  void ResetInChild();

 private:
  // The directory of this process.
  struct Home {
    uint64_t generation = 0;
    bool exists = false;
    int lock_fd = -1;
    dev_t device = 0;
    ino_t inode = 0;
    ino_t lock_inode = 0;
    SpillDirName name;
  };

  // A call that uses the directory, and what it found.
  class Visit {
   public:
    explicit Visit(SpillDir& dir) : dir_(dir) { error = dir.Enter(&home); }
    ~Visit() {
      if (!error) dir_.Leave();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    DiskError error;
    Home home;

   private:
    SpillDir& dir_;
  };

  DiskError Enter(Home* home);
  void Leave();
  DiskError OpenBase(bool may_make, int* base);
  DiskError CheckOwn(int base);
  DiskError OpenUnnamed(int* fd);
  DiskError MakeBase();
  DiskError OpenHome(int base, const Home& home, int* fd);
  DiskError MakeHome(int base, Home* home, int* fd);
  DiskError TryMakeHome(int base, Home* home, int* fd, bool* is_taken);
  void DestroyHome(int base, int fd, const Home& home);
  bool Publish(uint64_t generation, Home* home);
  bool HoldsLock(const Home& home);
  void LockAgain(int fd, const Home& home);
  void CloseLock(const Home& home);

  FileOps* ops_ = nullptr;
  bool must_be_own_ = false;
  MemoryLog* log_ = nullptr;
  Mutex mutex_;  // guards what follows
  Home home_;
  Home retired_;  // the last former one, whose lock is still to be closed
  int visits_ = 0;
  bool is_closed_ = false;

  pid_t pid_ = 0;
  std::atomic<uint32_t> unlinked_files_{0};
  char path_[kMaxPathBytes + 1] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_SPILL_DIR_H_
