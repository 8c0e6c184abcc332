#include "shim/page_map.h"

#include "shim/os.h"
#include "shim/stats_segment.h"

namespace taskmem {

std::atomic<uint64_t>* PageMap::FindOrMake(uint64_t slice) {
  std::atomic<std::atomic<uint64_t>*>& root = root_[slice >> kLeafShift];
  std::atomic<uint64_t>* leaf = root.load(std::memory_order_acquire);
  if (leaf == nullptr) {
    constexpr size_t kLeafBytes = kLeafEntries * sizeof(*leaf);
    auto* made = static_cast<std::atomic<uint64_t>*>(os::Map(kLeafBytes, MAP_NORESERVE));
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
  for (size_t i = 0; i < slices; ++i, ++slice) {
    std::atomic<uint64_t>* place = FindOrMake(slice);
    if (place == nullptr) return false;
    place->store(entry, std::memory_order_release);
  }
  return true;
}

bool PageMap::SetLarge(const void* start, size_t slices, uint64_t entry) {
  uint64_t slice = (reinterpret_cast<uint64_t>(start) >> kSliceShift) + slices;
  for (size_t i = slices; i-- > 0;) {
    std::atomic<uint64_t>* place = FindOrMake(--slice);
    if (place == nullptr) return false;
    const uint64_t later = entry == 0 ? 0 : Later(i);
    place->store(i == 0 ? entry : later, std::memory_order_release);
  }
  return true;
}

}  // namespace taskmem
