// Memory that can leave memory: an unlinked file, mapped shared into one reserved range of
// addresses, without swap and without the program's help.
//
//   addresses   begin() ............................................ begin() + reserved
//   file        0 ..... the same distances: offset = address - begin()
//   units       | run of 3 units    | free | run of 1 unit | free | free | ...
//
// A run is preallocated before it is mapped, and nothing else of the range is accessible:
// a full disk fails an Allocate, and is never a SIGBUS. Its mapping is not inherited by fork
// (it would be shared with the child): the child makes a file of its own and copies.
#ifndef TASKMEM_SPILL_OVERFLOW_OVERFLOW_FILE_H_
#define TASKMEM_SPILL_OVERFLOW_OVERFLOW_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "spill/overflow/overflow_status.h"

namespace taskmem {

// Where the file comes from. Tests make it fail.
class OverflowFileSource {
 public:
  // A new empty file without a name, readable and writable, close-on-exec, its number not
  // one that programs count on. -1: there is none.
  virtual int OpenUnlinked() { return -1; }

 protected:
  ~OverflowFileSource() = default;
};

// Thread-safe, except Open and what belongs to fork. No lock is held during I/O. All functions
// keep errno and allocate nothing. Never destroyed.
class OverflowFile {
 public:
  // Runs begin at multiples of this, and no two runs share one.
  static constexpr size_t kUnitBytes = size_t{32} << 20;
  static constexpr uint64_t kNoLimit = UINT64_MAX;

  constexpr OverflowFile() = default;
  OverflowFile(const OverflowFile&) = delete;
  OverflowFile& operator=(const OverflowFile&) = delete;

  // Once. Makes the file and reserves addresses. `limit_bytes`: at most this is allocated at
  // a time; 0: half of what its file system has free now. On an error nothing is left.
  OverflowStatus Open(OverflowFileSource& source, uint64_t limit_bytes);
  bool is_open() const { return bytes_.load(std::memory_order_acquire) != 0; }

  bool Contains(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - begin_ < bytes_.load(std::memory_order_acquire);
  }
  uintptr_t begin() const { return begin_; }
  size_t reserved_bytes() const { return bytes_.load(std::memory_order_acquire); }
  uint64_t limit_bytes() const { return limit_bytes_; }
  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  // All runs lie below begin() + this.
  size_t high_bytes() const { return high_units_.load(std::memory_order_relaxed) * kUnitBytes; }

  // A run of zeroed memory whose start + `align_offset` is a multiple of `alignment` (a power of
  // two; a unit's start is aligned to kUnitBytes). `bytes` is rounded up to 4 KiB.
  OverflowStatus Allocate(size_t bytes, size_t alignment, size_t align_offset, void** start);

  // The same for what may be smaller: `most` bytes where the limit is large, less where it is not
  // or the file system is nearly full, `least` at least. Both are multiples of kPieceBytes, and
  // so is what `bytes` becomes.
  static constexpr size_t kPieceBytes = size_t{64} << 10;
  OverflowStatus AllocateBetween(size_t least, size_t most, size_t alignment, void** start,
                                 size_t* bytes);

  // Gives a whole run back: its addresses, and its space on disk.
  void Release(void* start);

  // Makes the run that begins at `start` longer, up to `bytes` in all, zeroed behind its old end.
  // kNoAddresses: what is behind it belongs to others. Only by whoever owns the run; on an
  // error the run is what it was.
  OverflowStatus Extend(void* start, size_t bytes);

  // Gives the end of a run back, down to `bytes`; rounded up as above.
  void Shrink(void* start, size_t bytes);

  // The run that unit `unit` belongs to. False: none. What it says may be over already.
  struct Run {
    uintptr_t start;
    size_t bytes;
    bool is_in_file;  // false: private memory, in a child that found no room on disk
  };
  bool RunAt(uint32_t unit, Run* run) const;

  // Takes pages out of the process; their content stays in the page cache, and touching them
  // again is a minor fault. For pages of runs that are in the file.
  static void Unmap(uintptr_t start, size_t bytes);
  // Writes what is in the page cache there to disk, waits for that, and drops it from the
  // cache unless the process maps it. I/O. False: it could not be done.
  bool WriteAndDrop(uintptr_t start, size_t bytes);

  // Around fork(), under its lock. Whether there is anything to copy.
  void AddLocks(ForkLocks* locks) { locks->Add(mutex_); }
  bool BeforeFork();
  void AfterForkInParent();
  // In the child, before anything in the range is touched. Copies the parent's runs; the parent
  // must still have them. Runs for which the disk has no room become private memory. False:
  // there is none either, or the file cannot be read.
  bool RestoreInChild(OverflowFileSource& source);

 private:
  enum UnitState : uint32_t { kFree, kChanging, kUsed, kTail };

  struct Unit {
    std::atomic<uint32_t> state;
    uint32_t distance;  // kTail: to the run's first unit
    // Of the run, in its first unit.
    uint32_t file;  // File::number; 0: private memory
    std::atomic<uint64_t> bytes;
  };

  // The descriptor of the file, and what tells it from one that got its number since.
  struct File {
    int fd;
    uint32_t number;  // grows with every file: a program may close the descriptor
    uint64_t device;
    uint64_t inode;
  };

  bool Reserve(uint64_t want_bytes);
  size_t BytesBetween(size_t least, size_t most) const;
  // Gives the file space there and maps it. On an error nothing is left of that.
  OverflowStatus BackAndMap(const File& file, uint64_t offset, size_t bytes) const;

  // Of overflow_descriptor.cc.
  File CurrentFile();
  static bool IsOpen(const File& file);
  bool EnsureFile(OverflowFileSource& source, File* file);
  // A forked child makes a file of its own, where the program may have left no descriptor.
  void KeepReserve(const File& file);
  void GiveReserveUp(const File& file);

  // Of overflow_units.cc.
  bool FindRun(uint32_t units, size_t alignment, size_t align_offset, uint32_t* first) const;
  void MarkTail(uint32_t first, uint32_t from, uint32_t to, UnitState state);
  void MarkRun(uint32_t first, size_t bytes, UnitState state);
  void FreeRun(uint32_t first);
  void LowerHighUnits();

  // Of overflow_fork.cc.
  bool CopyRun(uint32_t first, const File& from, const File& to);

  uintptr_t begin_ = 0;
  std::atomic<size_t> bytes_{0};  // of the range; 0: not open
  uint64_t limit_bytes_ = 0;
  OverflowFileSource* source_ = nullptr;
  Unit* units_ = nullptr;
  uint32_t unit_count_ = 0;
  std::atomic<uint64_t> used_bytes_{0};
  std::atomic<uint32_t> high_units_{0};

  Mutex mutex_;  // guards the states of units, file_ and reserve_
  File file_ = {-1, 0, 0, 0};
  // The file again, for the directory and the file that a child opens.
  int reserve_[2] = {-1, -1};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_OVERFLOW_OVERFLOW_FILE_H_
