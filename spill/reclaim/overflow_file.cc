#include "spill/reclaim/overflow_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/kernel_memory.h"
#include "accounting/base/round_up.h"
#include "spill/files/kept_in_memory.h"

namespace taskmem {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kCopyBytes = size_t{1} << 20;
// An address space this large is enough for any disk, and maps cost nothing.
constexpr uint64_t kMostAddresses = uint64_t{4} << 40;
// A run takes a whole unit, and of a small limit it is a part of one.
constexpr uint64_t kFewestAddresses = uint64_t{512} << 20;

// mmap and madvise by system call: the names may be interposed by whoever uses this.
bool MapAt(uintptr_t start, size_t bytes, int protection, int flags, int fd, uint64_t offset) {
  return syscall(SYS_mmap, start, bytes, protection, flags | MAP_FIXED, fd, offset) != -1;
}

int Advise(uintptr_t start, size_t bytes, int advice) {
  return static_cast<int>(syscall(SYS_madvise, start, bytes, advice));
}

// At least this much of the file system is left to others.
uint64_t KeptFree(const struct statfs& system) {
  const uint64_t part = system.f_blocks * static_cast<uint64_t>(system.f_bsize) / 64;
  constexpr uint64_t kMost = uint64_t{1} << 30;
  return part < kMost ? part : kMost;
}

uint64_t FreeBytes(const struct statfs& system) {
  return system.f_bavail * static_cast<uint64_t>(system.f_bsize);
}

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

// Whether a file may be that large: to try it would be a SIGXFSZ.
bool IsWithinFileLimit(uint64_t bytes) {
  struct rlimit limit = {};
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes <= limit.rlim_cur;
}

// Reads or writes all of it. False: an error, or the end of the file.
template <typename Call>
bool Whole(Call call, uint64_t offset, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t moved = call(done, bytes - done, static_cast<off_t>(offset + done));
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    done += static_cast<size_t>(moved);
  }
  return true;
}

bool ReadAt(int fd, char* memory, size_t bytes, uint64_t offset) {
  return Whole(
      [=](size_t at, size_t count, off_t place) { return pread(fd, memory + at, count, place); },
      offset, bytes);
}

bool WriteAt(int fd, const char* memory, size_t bytes, uint64_t offset) {
  return Whole(
      [=](size_t at, size_t count, off_t place) { return pwrite(fd, memory + at, count, place); },
      offset, bytes);
}

// For file systems that cannot give space without writing to it.
bool WriteZeroes(int fd, uint64_t offset, size_t bytes) {
  auto* zeroes = static_cast<char*>(MapZeroed(kCopyBytes));
  if (zeroes == nullptr) return false;
  bool done = true;
  for (size_t at = 0; done && at < bytes; at += kCopyBytes) {
    const size_t count = bytes - at < kCopyBytes ? bytes - at : kCopyBytes;
    done = WriteAt(fd, zeroes, count, offset + at);
  }
  const int error = errno;
  taskmem::Unmap(zeroes, kCopyBytes);
  errno = error;
  return done;
}

bool CopyThroughMemory(int from, int to, uint64_t offset, size_t bytes) {
  auto* buffer = static_cast<char*>(MapZeroed(kCopyBytes));
  if (buffer == nullptr) return false;
  bool done = true;
  for (size_t at = 0; done && at < bytes; at += kCopyBytes) {
    const size_t count = bytes - at < kCopyBytes ? bytes - at : kCopyBytes;
    done = ReadAt(from, buffer, count, offset + at) && WriteAt(to, buffer, count, offset + at);
  }
  taskmem::Unmap(buffer, kCopyBytes);
  return done;
}

bool CopyData(int from, int to, uint64_t offset, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    loff_t in = static_cast<loff_t>(offset + done);
    loff_t out = in;
    const ssize_t copied = copy_file_range(from, &in, to, &out, bytes - done, 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied <= 0) return CopyThroughMemory(from, to, offset + done, bytes - done);
    done += static_cast<size_t>(copied);
  }
  return true;
}

// Calls visit(offset, bytes) -> bool for what was ever written of the range. A file system
// that does not know says: all of it.
template <typename Visit>
bool ForEachData(int fd, uint64_t offset, size_t bytes, Visit visit) {
  const uint64_t end = offset + bytes;
  while (offset < end) {
    const off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return true;  // nothing but holes behind it
    if (data < 0) return visit(offset, end - offset);
    if (static_cast<uint64_t>(data) >= end) return true;
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    const uint64_t stop =
        hole > data && static_cast<uint64_t>(hole) < end ? static_cast<uint64_t>(hole) : end;
    if (!visit(static_cast<uint64_t>(data), stop - static_cast<uint64_t>(data))) return false;
    offset = stop;
  }
  return true;
}

}  // namespace

const char* OverflowStatusText(OverflowStatus status) {
  switch (status) {
    case OverflowStatus::kOk: return "done";
    case OverflowStatus::kNoFile: return "no file can be made in the spill directory";
    case OverflowStatus::kInMemory:
      return "the spill directory is kept in memory (tmpfs): name one on a disk";
    case OverflowStatus::kNoAddresses: return "no addresses are left (ulimit -v?)";
    case OverflowStatus::kOverLimit: return "--overflow-size leaves too little";
    case OverflowStatus::kNoSpace: return "the file system of the spill directory is full";
    case OverflowStatus::kFileLimit: return "the limit on file sizes is reached (ulimit -f)";
    case OverflowStatus::kFailed: return "the file cannot be extended or mapped";
  }
  return "";
}

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

// Gives the file space there.
OverflowStatus OverflowFile::Back(const File& file, uint64_t offset, size_t bytes) const {
  if (!IsWithinFileLimit(offset + bytes)) return OverflowStatus::kFileLimit;
  struct statfs system = {};
  if (fstatfs(file.fd, &system) == 0) {
    const uint64_t free = FreeBytes(system);
    if (bytes > free || free - bytes < KeptFree(system)) return OverflowStatus::kNoSpace;
  }
  int result;
  do {
    result = fallocate(file.fd, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS) &&
      WriteZeroes(file.fd, offset, bytes)) {
    result = 0;
  }
  if (result == 0) return OverflowStatus::kOk;
  const int error = errno;
  // What was given before the disk was full.
  fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
            static_cast<off_t>(bytes));
  return error == ENOSPC || error == EDQUOT ? OverflowStatus::kNoSpace
         : error == EFBIG                   ? OverflowStatus::kFileLimit
                                            : OverflowStatus::kFailed;
}

bool OverflowFile::Map(uintptr_t start, size_t bytes, int fd, uint64_t offset) {
  if (!MapAt(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)) return false;
  // Huge pages of the page cache would become resident 2 MiB at a touch.
  Advise(start, bytes, MADV_NOHUGEPAGE);
  if (Advise(start, bytes, MADV_DONTFORK) == 0) return true;
  MapNothing(start, bytes);
  return false;
}

bool OverflowFile::MapPrivate(uintptr_t start, size_t bytes) {
  return MapAt(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

bool OverflowFile::MapNothing(uintptr_t start, size_t bytes) {
  return MapAt(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

// The first run of free units that is long enough and aligned. With mutex_ held.
bool OverflowFile::FindRun(uint32_t units, size_t alignment, size_t align_offset,
                           uint32_t* first) const {
  uint32_t length = 0;
  for (uint32_t unit = 0; unit < unit_count_; ++unit) {
    if (units_[unit].state.load(std::memory_order_relaxed) != kFree) {
      length = 0;
      continue;
    }
    if (length == 0 && ((begin_ + unit * kUnitBytes + align_offset) & (alignment - 1)) != 0) {
      continue;
    }
    if (++length == units) {
      *first = unit + 1 - units;
      return true;
    }
  }
  return false;
}

// The units from `from` to `to` of the run that begins at `first`. With mutex_ held.
void OverflowFile::MarkTail(uint32_t first, uint32_t from, uint32_t to, UnitState state) {
  for (uint32_t i = from; i < to; ++i) {
    units_[first + i].distance = i;
    units_[first + i].state.store(state, std::memory_order_release);
  }
  if (first + to > high_units_.load(std::memory_order_relaxed)) {
    high_units_.store(first + to, std::memory_order_relaxed);
  }
}

// With mutex_ held.
void OverflowFile::MarkRun(uint32_t first, size_t bytes, UnitState state) {
  const auto units = static_cast<uint32_t>(RoundUp(bytes, kUnitBytes) / kUnitBytes);
  units_[first].bytes = bytes;
  MarkTail(first, 1, units, state == kFree ? kFree : kTail);
  units_[first].state.store(state, std::memory_order_release);
}

void OverflowFile::FreeRun(uint32_t first) {
  MutexLock lock(mutex_);
  const size_t bytes = units_[first].bytes;
  MarkRun(first, bytes, kFree);
  used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  LowerHighUnits();
}

// With mutex_ held.
void OverflowFile::LowerHighUnits() {
  uint32_t high = high_units_.load(std::memory_order_relaxed);
  while (high > 0 && units_[high - 1].state.load(std::memory_order_relaxed) == kFree) --high;
  high_units_.store(high, std::memory_order_relaxed);
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
  OverflowStatus status = Back(file, offset, bytes);
  if (status == OverflowStatus::kOk && !Map(begin_ + offset, bytes, file.fd, offset)) {
    fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
              static_cast<off_t>(bytes));
    status = OverflowStatus::kFailed;
  }
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
  OverflowStatus status = Back(file, offset, more);
  if (status == OverflowStatus::kOk && !Map(begin_ + offset, more, file.fd, offset)) {
    fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
              static_cast<off_t>(more));
    status = OverflowStatus::kFailed;
  }
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

// A run whose file has no descriptor any more is inherited, and copied from the mapping.
bool OverflowFile::BeforeFork() {
  const ErrnoKeeper keeper;
  const bool is_open_now = IsOpen(file_);
  bool any = false;
  for (uint32_t i = 0; i < high_units_.load(std::memory_order_relaxed); ++i) {
    const Unit& unit = units_[i];
    if (unit.state.load(std::memory_order_relaxed) != kUsed || unit.file == 0) continue;
    any = true;
    if (unit.file != file_.number || !is_open_now) {
      Advise(begin_ + i * kUnitBytes, unit.bytes, MADV_DOFORK);
    }
  }
  return any;
}

void OverflowFile::AfterForkInParent() {
  const ErrnoKeeper keeper;
  for (uint32_t i = 0; i < high_units_.load(std::memory_order_relaxed); ++i) {
    const Unit& unit = units_[i];
    if (unit.state.load(std::memory_order_relaxed) != kUsed || unit.file == 0) continue;
    Advise(begin_ + i * kUnitBytes, unit.bytes, MADV_DONTFORK);
  }
}

// Puts the run `first` of the parent's into a file or memory of this process.
bool OverflowFile::CopyRun(uint32_t first, const File& from, const File& to) {
  Unit& unit = units_[first];
  const uint64_t offset = uint64_t{first} * kUnitBytes;
  const uintptr_t start = begin_ + offset;
  const bool is_mapped = unit.file != from.number || !IsOpen(from);
  if (to.fd >= 0 && Back(to, offset, unit.bytes) == OverflowStatus::kOk) {
    const bool copied =
        is_mapped ? WriteAt(to.fd, reinterpret_cast<const char*>(start), unit.bytes, offset)
                  : ForEachData(from.fd, offset, unit.bytes, [&](uint64_t at, size_t bytes) {
                      return CopyData(from.fd, to.fd, at, bytes);
                    });
    if (copied && Map(start, unit.bytes, to.fd, offset)) {
      unit.file = to.number;
      return true;
    }
  }
  unit.file = 0;
  if (!is_mapped) {
    return MapPrivate(start, unit.bytes) &&
           ForEachData(from.fd, offset, unit.bytes, [&](uint64_t at, size_t bytes) {
             return ReadAt(from.fd, reinterpret_cast<char*>(begin_ + at), bytes, at);
           });
  }
  const size_t bytes = unit.bytes;
  void* copy = MapZeroed(bytes);
  if (copy == nullptr) return false;
  __builtin_memcpy(copy, reinterpret_cast<const void*>(start), bytes);
  return syscall(SYS_mremap, copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, start) != -1;
}

bool OverflowFile::RestoreInChild(OverflowFileSource& source) {
  const ErrnoKeeper keeper;
  mutex_.ResetAfterFork();
  const File from = file_;
  source_ = &source;
  GiveReserveUp(from);
  file_.fd = -1;
  file_.number = from.number + 1;
  File to = {-1, 0, 0, 0};
  bool restored = true;
  bool has_looked = false;
  for (uint32_t i = 0; i < high_units_.load(std::memory_order_relaxed); ++i) {
    Unit& unit = units_[i];
    const uint32_t state = unit.state.load(std::memory_order_relaxed);
    if (state == kChanging) {
      // The thread that was at it does not exist here.
      MapNothing(begin_ + i * kUnitBytes, unit.bytes);
      FreeRun(i);
    } else if (state == kUsed && unit.file != 0) {
      if (!has_looked) EnsureFile(source, &to);
      has_looked = true;
      if (!CopyRun(i, from, to)) restored = false;
    }
  }
  // The parent's, unless somebody else has its number.
  if (IsOpen(from)) close(from.fd);
  return restored;
}

}  // namespace taskmem
