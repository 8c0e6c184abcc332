// The page map: from any address to what the 64 KiB around it are and whose.
// Two levels, two loads, no lock. Written only where the allocator takes a page
// into use or gives it back.
//
// An entry is one word; its low three bits are its kind:
//   0  nothing of ours
//   1  a page whose blocks all belong to one task: slot << 3
//   2  a shared page: the address of its PageOwners (memory never unmapped)
//   3  a large block: units of 4 KiB << 19 | slot << 3
//   4  a later 64 KiB of a large block: distance to its first << 3
// Entries of kind 3 are exchanged atomically, so that whoever frees the block
// and whoever folds its owner agree on who is credited.
#ifndef TASKMEM_SHIM_PAGE_MAP_H_
#define TASKMEM_SHIM_PAGE_MAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace taskmem {

class PageMap {
 public:
  static constexpr int kSliceShift = 16;
  static constexpr int kLeafShift = 15;
  static constexpr int kAddressBits = 47;
  static constexpr size_t kRootEntries = size_t{1} << (kAddressBits - kSliceShift - kLeafShift);
  static constexpr size_t kLeafEntries = size_t{1} << kLeafShift;

  enum Kind : uint64_t { kNothing = 0, kOwned = 1, kShared = 2, kLarge = 3, kLater = 4 };
  static constexpr uint64_t kUnitBytes = 4096;

  static Kind KindOf(uint64_t entry) { return static_cast<Kind>(entry & 7); }
  static uint64_t Owned(uint32_t slot) { return (uint64_t{slot} << 3) | kOwned; }
  static uint64_t Large(uint32_t slot, uint64_t bytes) {
    return (bytes / kUnitBytes << 19) | (uint64_t{slot} << 3) | kLarge;
  }
  // Of the slice that is `distance` slices behind the first.
  static uint64_t Later(uint64_t distance) { return distance << 3 | kLater; }
  static uint64_t Shared(const void* owners) {
    return reinterpret_cast<uint64_t>(owners) | kShared;
  }
  static uint32_t SlotOf(uint64_t entry) { return (entry >> 3) & 0xffff; }
  static uint64_t LargeBytes(uint64_t entry) { return (entry >> 19) * kUnitBytes; }
  static void* OwnersOf(uint64_t entry) { return reinterpret_cast<void*>(entry & ~uint64_t{7}); }

  // The entry for `address`; 0 for any address we never used.
  static uint64_t Get(const void* address) {
    const std::atomic<uint64_t>* entry = Find(address);
    return entry != nullptr ? entry->load(std::memory_order_acquire) : 0;
  }

  // The entry itself, or nullptr where nothing near was ever used.
  static std::atomic<uint64_t>* Find(const void* address) {
    const uint64_t slice = reinterpret_cast<uint64_t>(address) >> kSliceShift;
    if (slice >> (kAddressBits - kSliceShift) != 0) return nullptr;
    std::atomic<uint64_t>* leaf = root_[slice >> kLeafShift].load(std::memory_order_acquire);
    return leaf != nullptr ? &leaf[slice & (kLeafEntries - 1)] : nullptr;
  }

  // Of the first level, for readers in other processes.
  static uint64_t RootAddress() { return reinterpret_cast<uint64_t>(&root_); }

  // Sets all `slices` entries from `start` on. False: no memory for the map.
  static bool SetAll(const void* start, size_t slices, uint64_t entry);

  // Sets the entries of a large block, or clears them (entry 0). False as above.
  static bool SetLarge(const void* start, size_t slices, uint64_t entry);

  // Calls visit(address, entry&) for every entry that is not 0.
  template <typename Visit>
  static void ForEach(Visit visit) {
    for (size_t i = 0; i < kRootEntries; ++i) {
      std::atomic<uint64_t>* leaf = root_[i].load(std::memory_order_acquire);
      if (leaf == nullptr) continue;
      for (size_t j = 0; j < kLeafEntries; ++j) {
        if (leaf[j].load(std::memory_order_relaxed) != 0) {
          visit(reinterpret_cast<char*>(((i << kLeafShift) | j) << kSliceShift), leaf[j]);
        }
      }
    }
  }

 private:
  static std::atomic<uint64_t>* FindOrMake(uint64_t slice);

  static inline std::atomic<std::atomic<uint64_t>*> root_[kRootEntries];
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGE_MAP_H_
