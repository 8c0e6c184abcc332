#include "spill/overflow/overflow_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/kernel_memory.h"
#include "accounting/base/round_up.h"
#include "spill/files/kept_in_memory.h"
#include "spill/overflow/file_space.h"
#include "spill/overflow/mapped_run.h"

namespace taskmem {
namespace {

constexpr size_t kPageBytes = 4096;
// An address space this large is enough for any disk, and maps cost nothing.
constexpr uint64_t kMostAddresses = uint64_t{4} << 40;
// A run takes a whole unit, and of a small limit it is a part of one.
constexpr uint64_t kFewestAddresses = uint64_t{512} << 20;

// The addresses this process has in use, in bytes.
uint64_t AddressesUsed() {
  char text[64] = "";
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  return length > 0 ? strtoull(text, nullptr, 10) * kPageBytes : 0;
}

// A part of what `ulimit -v` leaves: a program that lives under it wants most for itself.
uint64_t AddressesAllowed() {
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMostAddresses;
  const uint64_t used = AddressesUsed();
  return limit.rlim_cur > used ? (limit.rlim_cur - used) / 4 : 0;
}

}  // namespace

OverflowStatus OverflowFile::Open(OverflowFileSource& source, uint64_t limit_bytes) {
  const ErrnoKeeper keeper;
  const int fd = source.OpenUnlinked();
  if (fd < 0) return OverflowStatus::kNoFile;
  struct statfs system = {};
  struct stat status = {};
  OverflowStatus result = OverflowStatus::kOk;
  if (fstatfs(fd, &system) != 0 || fstat(fd, &status) != 0) {
    result = OverflowStatus::kNoFile;
  } else if (IsKeptInMemory(system)) {
    result = OverflowStatus::kInMemory;
  } else {
    limit_bytes_ = limit_bytes != 0 ? limit_bytes : FreeBytes(system) / 2;
    // Twice as much, because a block of little more than a unit takes two.
    const uint64_t twice = limit_bytes_ < kMostAddresses / 2 ? limit_bytes_ * 2 : kMostAddresses;
    if (!Reserve(twice < kFewestAddresses ? kFewestAddresses : twice)) {
      result = OverflowStatus::kNoAddresses;
    }
  }
  if (result != OverflowStatus::kOk) {
    close(fd);
    return result;
  }
  source_ = &source;
  file_ = {fd, 1, status.st_dev, status.st_ino};
  KeepReserve(file_);
  bytes_.store(size_t{unit_count_} * kUnitBytes, std::memory_order_release);
  return OverflowStatus::kOk;
}

// Whole units, as many as there are addresses for.
bool OverflowFile::Reserve(uint64_t want_bytes) {
  const uint64_t allowed = AddressesAllowed();
  uint64_t bytes = RoundUp(want_bytes < allowed ? want_bytes : allowed, kUnitBytes);
  for (; bytes >= 2 * kUnitBytes; bytes = RoundUp(bytes / 2, kUnitBytes)) {
    const size_t length = bytes + kUnitBytes;  // to align it
    const long address = syscall(SYS_mmap, PlaceApart(length), length, PROT_NONE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
    if (address == -1) continue;
    const auto start = static_cast<uintptr_t>(address);
    begin_ = RoundUp(start, kUnitBytes);
    if (begin_ > start) syscall(SYS_munmap, start, begin_ - start);
    const uintptr_t end = begin_ + bytes;
    if (end < start + length) syscall(SYS_munmap, end, start + length - end);
    unit_count_ = static_cast<uint32_t>(bytes / kUnitBytes);
    units_ = static_cast<Unit*>(MapZeroed(unit_count_ * sizeof(Unit)));
    if (units_ != nullptr) return true;
    syscall(SYS_munmap, begin_, bytes);
    return false;
  }
  return false;
}

OverflowStatus OverflowFile::BackAndMap(const File& file, uint64_t offset, size_t bytes) const {
  const OverflowStatus status = GiveSpace(file.fd, offset, bytes);
  if (status != OverflowStatus::kOk) return status;
  if (MapFromFile(begin_ + offset, bytes, file.fd, offset)) return OverflowStatus::kOk;
  TakeSpaceBack(file.fd, offset, bytes);
  return OverflowStatus::kFailed;
}

OverflowStatus OverflowFile::Allocate(size_t bytes, size_t alignment, size_t align_offset,
                                      void** start) {
  if (!is_open()) return OverflowStatus::kNoFile;
  if (bytes == 0 || bytes > reserved_bytes()) return OverflowStatus::kNoAddresses;
  const ErrnoKeeper keeper;
  bytes = RoundUp(bytes, kPageBytes);
  const auto units = static_cast<uint32_t>(RoundUp(bytes, kUnitBytes) / kUnitBytes);
  File file;
  if (!EnsureFile(*source_, &file)) return OverflowStatus::kNoFile;
  uint32_t first = 0;
  {
    MutexLock lock(mutex_);
    const uint64_t used = used_bytes_.load(std::memory_order_relaxed);
    if (bytes > limit_bytes_ || used > limit_bytes_ - bytes) return OverflowStatus::kOverLimit;
    if (!FindRun(units, alignment, align_offset, &first)) return OverflowStatus::kNoAddresses;
    units_[first].file = file.number;
    MarkRun(first, bytes, kChanging);
    used_bytes_.store(used + bytes, std::memory_order_relaxed);
  }
  const uint64_t offset = uint64_t{first} * kUnitBytes;
  const OverflowStatus status = BackAndMap(file, offset, bytes);
  if (status != OverflowStatus::kOk) {
    FreeRun(first);
    return status;
  }
  units_[first].state.store(kUsed, std::memory_order_release);
  *start = reinterpret_cast<void*>(begin_ + offset);
  return OverflowStatus::kOk;
}

// A quarter of the limit, so that several threads have some, or four times what is wanted: a
// run has a head of its own. What is left where that is less.
size_t OverflowFile::BytesBetween(size_t least, size_t most) const {
  const uint64_t quarter = limit_bytes_ / 4;
  uint64_t bytes = quarter > 4 * uint64_t{least} ? quarter : 4 * uint64_t{least};
  if (bytes > most) bytes = most;
  const uint64_t used = used_bytes();
  const uint64_t left = limit_bytes_ > used ? limit_bytes_ - used : 0;
  if (bytes > left) bytes = left;
  bytes -= bytes % kPieceBytes;
  return bytes > least ? bytes : least;
}

OverflowStatus OverflowFile::AllocateBetween(size_t least, size_t most, size_t alignment,
                                             void** start, size_t* bytes) {
  // Others may take meanwhile what was left.
  for (int tries = 3;; --tries) {
    *bytes = BytesBetween(least, most);
    const OverflowStatus status = Allocate(*bytes, alignment, 0, start);
    if (status == OverflowStatus::kOk || *bytes == least) return status;
    if (status == OverflowStatus::kOverLimit && tries > 1) continue;
    *bytes = least;
    return Allocate(least, alignment, 0, start);
  }
}

void OverflowFile::Release(void* start) {
  const ErrnoKeeper keeper;
  const auto address = reinterpret_cast<uintptr_t>(start);
  const auto first = static_cast<uint32_t>((address - begin_) / kUnitBytes);
  Unit& unit = units_[first];
  unit.state.store(kChanging, std::memory_order_release);
  // Through the mapping: the run may lie in a file whose descriptor the program closed.
  if (unit.file != 0) Advise(address, unit.bytes, MADV_REMOVE);
  // Where the system has no mapping left to split, the run stays what it was, unused.
  if (MapNothing(address, unit.bytes)) FreeRun(first);
}

OverflowStatus OverflowFile::Extend(void* start, size_t bytes) {
  const ErrnoKeeper keeper;
  bytes = RoundUp(bytes, kPageBytes);
  const auto first =
      static_cast<uint32_t>((reinterpret_cast<uintptr_t>(start) - begin_) / kUnitBytes);
  Unit& unit = units_[first];
  const size_t old_bytes = unit.bytes;
  const size_t more = bytes - old_bytes;
  const auto old_units = static_cast<uint32_t>(RoundUp(old_bytes, kUnitBytes) / kUnitBytes);
  const auto units = static_cast<uint32_t>(RoundUp(bytes, kUnitBytes) / kUnitBytes);
  // What lies in another file than the present one, or in none, stays as long as it is.
  const File file = CurrentFile();
  if (unit.file != file.number || !IsOpen(file)) return OverflowStatus::kNoFile;
  {
    MutexLock lock(mutex_);
    const uint64_t used = used_bytes_.load(std::memory_order_relaxed);
    if (more > limit_bytes_ || used > limit_bytes_ - more) return OverflowStatus::kOverLimit;
    if (units > unit_count_ - first) return OverflowStatus::kNoAddresses;
    for (uint32_t i = old_units; i < units; ++i) {
      if (units_[first + i].state.load(std::memory_order_relaxed) != kFree) {
        return OverflowStatus::kNoAddresses;
      }
    }
    // Nobody looks at them before the run is known to be longer.
    for (uint32_t i = old_units; i < units; ++i) units_[first + i].bytes = 0;
    MarkTail(first, old_units, units, kChanging);
    used_bytes_.store(used + more, std::memory_order_relaxed);
  }
  const uint64_t offset = uint64_t{first} * kUnitBytes + old_bytes;
  const OverflowStatus status = BackAndMap(file, offset, more);
  if (status == OverflowStatus::kOk) {
    MutexLock lock(mutex_);
    unit.bytes = bytes;
    MarkTail(first, old_units, units, kTail);
    return status;
  }
  MutexLock lock(mutex_);
  MarkTail(first, old_units, units, kFree);
  used_bytes_.fetch_sub(more, std::memory_order_relaxed);
  LowerHighUnits();
  return status;
}

void OverflowFile::Shrink(void* start, size_t bytes) {
  const ErrnoKeeper keeper;
  bytes = RoundUp(bytes, kPageBytes);
  const auto address = reinterpret_cast<uintptr_t>(start);
  const auto first = static_cast<uint32_t>((address - begin_) / kUnitBytes);
  Unit& unit = units_[first];
  const size_t old_bytes = unit.bytes;
  if (bytes == 0 || bytes >= old_bytes) return;
  const size_t less = old_bytes - bytes;
  if (unit.file != 0) Advise(address + bytes, less, MADV_REMOVE);
  if (!MapNothing(address + bytes, less)) return;
  const auto old_units = static_cast<uint32_t>(RoundUp(old_bytes, kUnitBytes) / kUnitBytes);
  const auto units = static_cast<uint32_t>(RoundUp(bytes, kUnitBytes) / kUnitBytes);
  MutexLock lock(mutex_);
  unit.bytes = bytes;
  MarkTail(first, units, old_units, kFree);
  used_bytes_.fetch_sub(less, std::memory_order_relaxed);
  LowerHighUnits();
}

bool OverflowFile::RunAt(uint32_t unit, Run* run) const {
  if (unit >= unit_count_) return false;
  uint32_t state = units_[unit].state.load(std::memory_order_acquire);
  if (state == kTail) {
    const uint32_t distance = units_[unit].distance;
    if (distance > unit) return false;
    unit -= distance;
    state = units_[unit].state.load(std::memory_order_acquire);
  }
  if (state != kUsed) return false;
  *run = {begin_ + unit * kUnitBytes, units_[unit].bytes, units_[unit].file != 0};
  return true;
}

void OverflowFile::Unmap(uintptr_t start, size_t bytes) {
  const ErrnoKeeper keeper;
  // Of a shared mapping this takes the pages out of the page table and nothing else.
  Advise(start, bytes, MADV_DONTNEED);
}

bool OverflowFile::WriteAndDrop(uintptr_t start, size_t bytes) {
  const ErrnoKeeper keeper;
  const File file = CurrentFile();
  Run run;
  if (!RunAt(static_cast<uint32_t>((start - begin_) / kUnitBytes), &run) || !run.is_in_file) {
    return false;
  }
  const auto first = static_cast<uint32_t>((run.start - begin_) / kUnitBytes);
  if (units_[first].file != file.number || !IsOpen(file)) {
    // A file that only its mapping holds.
    return syscall(SYS_msync, start, bytes, MS_SYNC) == 0 &&
           Advise(start, bytes, MADV_PAGEOUT) == 0;
  }
  const auto offset = static_cast<off_t>(start - begin_);
  const auto length = static_cast<off_t>(bytes);
  constexpr unsigned kWriteAndWait =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  if (sync_file_range(file.fd, offset, length, kWriteAndWait) != 0) return false;
  return posix_fadvise(file.fd, offset, length, POSIX_FADV_DONTNEED) == 0;
}

}  // namespace taskmem
