// The page map: from any address to what the 64 KiB around it are and whose.
// Two levels, two loads, no lock. Written only where the allocator takes a page
// into use or gives it back.
//
// An entry is one word; its low three bits are its kind:
//   0  nothing of ours, or inside a large block
//   1  a page whose blocks all belong to one task: slot << 3
//   2  a shared page: the address of its PageOwners (memory never unmapped)
//   3  a large block: units of 4 KiB << 19 | slot << 3
//   4  a mark inside of a large block: distance to its first entry << 3
//   5  as 3, of a block that is aligned to more than 16 MiB
// Entries of kinds 3 and 5 are exchanged atomically, so that whoever frees the
// block and whoever folds its owner agree on who is credited.
//
// A large block has one entry, and few marks: where in it the first multiple of
// 2, 4, 8... slices lies. Whoever looks for an address inside of it clears the
// lowest bit of the slice's number that is set, again and again: the last number
// that way that is still in the block has the entry or a mark.
//
//   block of slices 5 to 21:   5  6  7  8  9 10 11 12 13 14 15 16 17 ... 21
//                              E  M     M                       M
//   slice 15 -> 14 -> 12 -> 8: a mark, 3 behind the entry
//
// Huge blocks, of segments of their own, are in a table of the same kind with an
// entry for each 32 MiB, the window that begins with their segment.
//
// Lookups race with frees. A block's marks are there before its entry is, and go
// after it: who finds a mark and no entry asked for what is being freed, and is told
// that it is nothing of ours. Leaves are never unmapped. Memory of a leaf goes back,
// to read as zeros from then on, only for a window whose entries are 0 and that is
// still reserved by who gives it back: nobody else writes there (Forget).
#ifndef TASKMEM_SHIM_BOOKS_PAGE_MAP_H_
#define TASKMEM_SHIM_BOOKS_PAGE_MAP_H_

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

  static constexpr int kWindowShift = 25;
  static constexpr size_t kWindowSlices = size_t{1} << (kWindowShift - kSliceShift);
  static constexpr size_t kHugeRootEntries = size_t{1}
                                             << (kAddressBits - kWindowShift - kLeafShift);
  // Where in its first window a huge block's page begins, and in the one behind it a block of
  // kind 5.
  static constexpr uint64_t kHugeStart = uint64_t{1} << kSliceShift;

  enum Kind : uint64_t {
    kNothing = 0,
    kOwned = 1,
    kShared = 2,
    kLarge = 3,
    kMark = 4,
    kAligned = 5,
  };
  static constexpr uint64_t kUnitBytes = 4096;

  static Kind KindOf(uint64_t entry) { return static_cast<Kind>(entry & 7); }
  static uint64_t Owned(uint32_t slot) { return (uint64_t{slot} << 3) | kOwned; }
  static uint64_t Large(uint32_t slot, uint64_t bytes) {
    return (bytes / kUnitBytes << 19) | (uint64_t{slot} << 3) | kLarge;
  }
  // The same block, another owner and size.
  static uint64_t Changed(uint64_t large, uint32_t slot, uint64_t bytes) {
    return (Large(slot, bytes) & ~uint64_t{7}) | KindOf(large);
  }
  static uint64_t AlignedHuge(uint32_t slot, uint64_t bytes) {
    return Changed(kAligned, slot, bytes);
  }
  static uint64_t Mark(uint64_t distance) { return distance << 3 | kMark; }
  static bool IsLarge(uint64_t entry) {
    return KindOf(entry) == kLarge || KindOf(entry) == kAligned;
  }
  static uint64_t Shared(const void* owners) {
    return reinterpret_cast<uint64_t>(owners) | kShared;
  }
  static uint32_t SlotOf(uint64_t entry) { return (entry >> 3) & 0xffff; }
  static uint64_t LargeBytes(uint64_t entry) { return (entry >> 19) * kUnitBytes; }
  static void* OwnersOf(uint64_t entry) { return reinterpret_cast<void*>(entry & ~uint64_t{7}); }

  // The entry of the slice around `address`; 0 for any address we never used.
  static uint64_t Get(const void* address) {
    const std::atomic<uint64_t>* entry = Find(address);
    return entry != nullptr ? entry->load(std::memory_order_acquire) : 0;
  }

  // The entry itself, or nullptr where nothing near was ever used.
  static std::atomic<uint64_t>* Find(const void* address) {
    const uint64_t slice = reinterpret_cast<uint64_t>(address) >> kSliceShift;
    if (slice >> (kAddressBits - kSliceShift) != 0) return nullptr;
    return At(root_, slice);
  }
  // The entry of a huge block whose page begins at `start`. As Find.
  static std::atomic<uint64_t>* FindHuge(const void* start) {
    return At(huge_root_, reinterpret_cast<uint64_t>(start) >> kWindowShift);
  }

  // Of a page that begins at `start`: of blocks, of a large block, of a huge one.
  static uint64_t OfPage(const void* start) {
    const uint64_t entry = Get(start);
    if (entry != 0) return entry;
    const uint64_t address = reinterpret_cast<uint64_t>(start);
    if (((address >> kSliceShift) & (kWindowSlices - 1)) != kHugeStart >> kSliceShift) return 0;
    const std::atomic<uint64_t>* huge = FindHuge(start);
    const uint64_t found = huge != nullptr ? huge->load(std::memory_order_acquire) : 0;
    return IsLarge(found) ? found : 0;
  }

  // What lies at `address`.
  struct Place {
    uint64_t entry = 0;     // never a mark
    char* start = nullptr;  // of a large block's page, else of the slice
  };
  static Place Look(const void* address);

  // The number from which Look goes on, and the same for who reads another process's map.
  static uint64_t Before(uint64_t number) { return number & (number - 1); }

  // Of the first levels, for readers in other processes.
  static uint64_t RootAddress() { return reinterpret_cast<uint64_t>(&root_); }
  static uint64_t HugeRootAddress() { return reinterpret_cast<uint64_t>(&huge_root_); }

  // Sets all `slices` entries from `start` on. False: no memory for the map.
  static bool SetAll(const void* start, size_t slices, uint64_t entry);

  // Sets those of a page that has been set to 0.
  static void Clear(const void* start, size_t slices);

  // Sets what a large block of so many slices has. False as above.
  static bool SetLarge(const void* start, size_t slices, uint64_t entry);
  // Clears it, and returns what its entry was.
  static uint64_t TakeLarge(const void* start, size_t slices);
  // Its page has become larger, behind it.
  static void ExtendLarge(const void* start, size_t old_slices, size_t slices);
  // As SetLarge for a huge block, whose segment has `bytes`; with entry 0 it is cleared, and the
  // map has memory for it afterwards.
  static bool SetHuge(const void* segment, size_t bytes, uint64_t entry);
  // The segment has become larger or smaller, up to `bytes`. False as above; nothing has changed.
  static bool ResizeHuge(const void* segment, size_t old_bytes, size_t bytes);

  // Gives memory of the map for the window of an ordinary segment back: no page is left in it,
  // and it is still the caller's.
  static void Forget(const void* segment);

  // Calls visit(address, entry&) for every entry that is not 0, but for some marks: the address of
  // the slice, of a huge block that of its page. Reads no part of the map that was never used: in
  // a forked child that would take memory for each page of it.
  template <typename Visit>
  static void ForEach(Visit visit) {
    const auto visit_slice = [&visit](uint64_t slice, std::atomic<uint64_t>& entry) {
      visit(reinterpret_cast<char*>(slice << kSliceShift), entry);
    };
    for (size_t word = 0; word < kRootEntries / 64; ++word) {
      for (uint64_t bits = made_[word].load(std::memory_order_acquire); bits != 0;
           bits &= bits - 1) {
        ForEachIn(root_, used_, word * 64 + static_cast<size_t>(__builtin_ctzll(bits)),
                  visit_slice);
      }
    }
    for (size_t i = 0; i < kHugeRootEntries; ++i) {
      ForEachIn(huge_root_, huge_used_, i, [&visit](uint64_t window, std::atomic<uint64_t>& entry) {
        visit(reinterpret_cast<char*>((window << kWindowShift) + kHugeStart), entry);
      });
    }
  }

 private:
  using Leaf = std::atomic<uint64_t>*;
  using Root = std::atomic<Leaf>;

  static std::atomic<uint64_t>* At(Root* root, uint64_t number) {
    const Leaf leaf = root[number >> kLeafShift].load(std::memory_order_acquire);
    return leaf != nullptr ? &leaf[number & (kLeafEntries - 1)] : nullptr;
  }
  // Of a leaf, what has ever been used lies between these.
  struct Used {
    std::atomic<uint32_t> end;
    std::atomic<uint32_t> from_end;  // kLeafEntries less the first: 0 while nothing is
  };

  // Notes that this entry is used. Whoever uses others behind it, but for marks, says so.
  static std::atomic<uint64_t>* FindOrMake(Root* root, uint64_t number);
  static void NoteUsed(Used* used, uint64_t number);

  template <typename Visit>
  static void ForEachIn(Root* root, Used* used, size_t i, Visit visit) {
    const Leaf leaf = root[i].load(std::memory_order_acquire);
    if (leaf == nullptr) return;
    const size_t end = used[i].end.load(std::memory_order_relaxed);
    for (size_t j = kLeafEntries - used[i].from_end.load(std::memory_order_relaxed); j < end; ++j) {
      if (leaf[j].load(std::memory_order_relaxed) != 0) visit((i << kLeafShift) | j, leaf[j]);
    }
  }

  static inline std::atomic<uint64_t> made_[kRootEntries / 64];  // a bit for each leaf of root_
  static inline Used used_[kRootEntries];
  static inline Used huge_used_[kHugeRootEntries];
  static inline Root root_[kRootEntries];
  static inline Root huge_root_[kHugeRootEntries];
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_PAGE_MAP_H_
