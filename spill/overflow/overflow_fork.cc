// The overflow file over fork(): the child makes a file of its own and copies what it inherits.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/kernel_memory.h"
#include "spill/files/file_parts.h"
#include "spill/overflow/file_space.h"
#include "spill/overflow/mapped_run.h"
#include "spill/overflow/overflow_file.h"

namespace taskmem {

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
  if (to.fd >= 0 && GiveSpace(to.fd, offset, unit.bytes) == OverflowStatus::kOk) {
    const bool copied =
        is_mapped ? WriteAt(to.fd, reinterpret_cast<const char*>(start), unit.bytes, offset)
                  : ForEachData(from.fd, offset, unit.bytes, [&](uint64_t at, size_t bytes) {
                      return CopyData(from.fd, to.fd, at, bytes);
                    });
    if (copied && MapFromFile(start, unit.bytes, to.fd, offset)) {
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
