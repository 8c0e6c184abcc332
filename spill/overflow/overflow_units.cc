// Which units of the overflow file's range belong to which run.
#include "accounting/base/round_up.h"
#include "spill/overflow/overflow_file.h"

namespace taskmem {

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

}  // namespace taskmem
