#include "shim/page_map.h"

#include "shim/os.h"
#include "shim/stats_segment.h"

namespace taskmem {

std::atomic<uint64_t>* PageMap::FindOrMake(uint64_t slice) {
  std::atomic<std::atomic<uint64_t>*>& root = root_[slice >> kLeafShift];
  std::atomic<uint64_t>* leaf = root.load(std::memory_order_acquire);
  if (leaf == nullptr) {
    constexpr size_t kLeafBytes = kLeafEntries * sizeof(*leaf);
    auto* made = static_cast<std::atomic<uint64_t>*>(os::MapApart(kLeafBytes, MAP_NORESERVE));
    if (made == nullptr) return nullptr;
    if (root.compare_exchange_strong(leaf, made, std::memory_order_acq_rel)) {
      leaf = made;
      NoteOwnBytes(made, kLeafBytes);
    } else {
      os::Unmap(made, kLeafBytes);
    }
  }
  return &leaf[slice & (kLeafEntries - 1)];
}

bool PageMap::SetAll(const void* start, size_t slices, uint64_t entry) {
  uint64_t slice = reinterpret_cast<uint64_t>(start) >> kSliceShift;
  const uint64_t end = slice + slices;
  while (slice < end) {
    std::atomic<uint64_t>* place = FindOrMake(slice);
    if (place == nullptr) return false;
    const uint64_t leaf_end = (slice | (kLeafEntries - 1)) + 1;
    const uint64_t run_end = leaf_end < end ? leaf_end : end;
    for (; slice < run_end; ++slice) place++->store(entry, std::memory_order_release);
  }
  return true;
}

bool PageMap::SetLarge(const void* start, size_t slices, uint64_t entry) {
  const uint64_t first = reinterpret_cast<uint64_t>(start) >> kSliceShift;
  // Backwards: where the first entry is seen, the others are as well.
  for (uint64_t end = first + slices; end > first;) {
    const uint64_t leaf_start = (end - 1) & ~uint64_t{kLeafEntries - 1};
    const uint64_t run_start = leaf_start > first ? leaf_start : first;
    std::atomic<uint64_t>* const run = FindOrMake(run_start);
    if (run == nullptr) return false;
    const uint64_t step = entry == 0 ? 0 : Later(1) - Later(0);
    uint64_t later = entry == 0 ? 0 : Later(end - first);
    for (std::atomic<uint64_t>* place = run + (end - run_start); place != run;) {
      later -= step;
      (--place)->store(later, std::memory_order_release);
    }
    if (run_start == first) run->store(entry, std::memory_order_release);
    end = run_start;
  }
  return true;
}

}  // namespace taskmem
