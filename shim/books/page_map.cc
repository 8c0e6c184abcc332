#include "shim/books/page_map.h"

#include "shim/base/os.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr uint64_t LowestBit(uint64_t number) { return number & -number; }

bool Covers(uint64_t start, uint64_t bytes, const void* address) {
  return reinterpret_cast<uint64_t>(address) - start < bytes;
}

}  // namespace

std::atomic<uint64_t>* PageMap::FindOrMake(Root* roots, uint64_t number) {
  Root& root = roots[number >> kLeafShift];
  Leaf leaf = root.load(std::memory_order_acquire);
  if (__builtin_expect(leaf == nullptr, 0)) {
    constexpr size_t kLeafBytes = kLeafEntries * sizeof(*leaf);
    // The first, which most processes need no other beside, lies with the other tables: memory that
    // lies apart has page tables of its own, which each fork copies.
    static std::atomic<uint64_t> first_leaf[kLeafEntries];
    static std::atomic<bool> has_first{false};
    const bool is_first = !has_first.exchange(true, std::memory_order_relaxed);
    auto* made = is_first ? first_leaf : static_cast<Leaf>(os::MapApart(kLeafBytes, MAP_NORESERVE));
    if (made == nullptr) return nullptr;
    // First, so that nobody finds entries in a leaf that ForEach does not.
    if (roots == root_) {
      const uint64_t index = number >> kLeafShift;
      made_[index / 64].fetch_or(uint64_t{1} << index % 64, std::memory_order_release);
    }
    if (root.compare_exchange_strong(leaf, made, std::memory_order_acq_rel)) {
      leaf = made;
      if (!is_first) NoteOwnBytes(made, kLeafBytes);
    } else if (is_first) {
      has_first.store(false, std::memory_order_relaxed);
    } else {
      os::Unmap(made, kLeafBytes);
    }
  }
  NoteUsed(roots == root_ ? used_ : huge_used_, number);
  return &leaf[number & (kLeafEntries - 1)];
}

void PageMap::NoteUsed(Used* used, uint64_t number) {
  const auto raise = [](std::atomic<uint32_t>& most, uint64_t value) {
    uint32_t seen = most.load(std::memory_order_relaxed);
    while (__builtin_expect(seen < value, 0) &&
           !most.compare_exchange_weak(seen, static_cast<uint32_t>(value))) {
    }
  };
  Used& of_leaf = used[number >> kLeafShift];
  const uint64_t place = number & (kLeafEntries - 1);
  raise(of_leaf.end, place + 1);
  raise(of_leaf.from_end, kLeafEntries - place);
}

PageMap::Place PageMap::Look(const void* address) {
  const uint64_t slice = reinterpret_cast<uint64_t>(address) >> kSliceShift;
  if (slice >> (kAddressBits - kSliceShift) != 0) return {};
  const auto entry_at = [](Root* root, uint64_t number) {
    const std::atomic<uint64_t>* const entry = At(root, number);
    return entry != nullptr ? entry->load(std::memory_order_acquire) : 0;
  };
  // A large block lies in one window, and not in its first slice.
  uint64_t number = slice;
  uint64_t entry = 0;
  for (; number % kWindowSlices != 0; number = Before(number)) {
    entry = entry_at(root_, number);
    if (entry != 0) break;
  }
  if (KindOf(entry) == kMark) {
    number -= entry >> 3;
    entry = entry_at(root_, number);
    if (KindOf(entry) != kLarge) return {};
  }
  if (entry != 0) {
    const uint64_t start = number << kSliceShift;
    const bool is_found =
        KindOf(entry) == kLarge ? Covers(start, LargeBytes(entry), address) : number == slice;
    return is_found ? Place{entry, reinterpret_cast<char*>(start)} : Place{};
  }
  for (number = slice / kWindowSlices; number != 0; number = Before(number)) {
    entry = entry_at(huge_root_, number);
    if (entry != 0) break;
  }
  if (KindOf(entry) == kMark) {
    number -= entry >> 3;
    entry = entry_at(huge_root_, number);
  }
  if (!IsLarge(entry)) return {};
  const uint64_t window = number << kWindowShift;
  const uint64_t start =
      KindOf(entry) == kLarge ? window + kHugeStart : window + (uint64_t{1} << kWindowShift);
  if (!Covers(start, LargeBytes(entry), address)) return {};
  return {entry, reinterpret_cast<char*>(window + kHugeStart)};
}

bool PageMap::SetAll(const void* start, size_t slices, uint64_t entry) {
  uint64_t slice = reinterpret_cast<uint64_t>(start) >> kSliceShift;
  const uint64_t end = slice + slices;
  while (slice < end) {
    std::atomic<uint64_t>* place = FindOrMake(root_, slice);
    if (place == nullptr) return false;
    const uint64_t leaf_end = (slice | (kLeafEntries - 1)) + 1;
    const uint64_t run_end = leaf_end < end ? leaf_end : end;
    NoteUsed(used_, run_end - 1);
    for (; slice < run_end; ++slice) place++->store(entry, std::memory_order_release);
  }
  return true;
}

void PageMap::Clear(const void* start, size_t slices) {
  std::atomic<uint64_t>* const place = At(root_, reinterpret_cast<uint64_t>(start) >> kSliceShift);
  for (size_t i = 0; i < slices; ++i) place[i].store(0, std::memory_order_release);
}

bool PageMap::SetLarge(const void* start, size_t slices, uint64_t entry) {
  const uint64_t first = reinterpret_cast<uint64_t>(start) >> kSliceShift;
  const uint64_t end = first + slices;
  // All of it is in one window, and so in one leaf.
  std::atomic<uint64_t>* const place = FindOrMake(root_, first);
  if (place == nullptr) return false;
  for (uint64_t at = first + LowestBit(first); at < end; at += LowestBit(at)) {
    place[at - first].store(Mark(at - first), std::memory_order_release);
  }
  place->store(entry, std::memory_order_release);
  return true;
}

uint64_t PageMap::TakeLarge(const void* start, size_t slices) {
  const uint64_t first = reinterpret_cast<uint64_t>(start) >> kSliceShift;
  std::atomic<uint64_t>* const place = At(root_, first);
  const uint64_t entry = place->exchange(0, std::memory_order_acq_rel);
  for (uint64_t at = first + LowestBit(first); at < first + slices; at += LowestBit(at)) {
    place[at - first].store(0, std::memory_order_release);
  }
  return entry;
}

void PageMap::ExtendLarge(const void* start, size_t old_slices, size_t slices) {
  const uint64_t first = reinterpret_cast<uint64_t>(start) >> kSliceShift;
  std::atomic<uint64_t>* const place = At(root_, first);
  for (uint64_t at = first + LowestBit(first); at < first + slices; at += LowestBit(at)) {
    if (at >= first + old_slices)
      place[at - first].store(Mark(at - first), std::memory_order_release);
  }
}

bool PageMap::SetHuge(const void* segment, size_t bytes, uint64_t entry) {
  const uint64_t first = reinterpret_cast<uint64_t>(segment) >> kWindowShift;
  std::atomic<uint64_t>* const place = FindOrMake(huge_root_, first);
  if (place == nullptr) return false;
  if (entry == 0) place->store(0, std::memory_order_release);
  const uint64_t end = first + ((bytes - 1) >> kWindowShift) + 1;
  for (uint64_t at = first + LowestBit(first); at < end; at += LowestBit(at)) {
    std::atomic<uint64_t>* const mark = FindOrMake(huge_root_, at);
    if (mark == nullptr) return false;
    mark->store(entry != 0 ? Mark(at - first) : 0, std::memory_order_release);
  }
  if (entry != 0) place->store(entry, std::memory_order_release);
  return true;
}

bool PageMap::ResizeHuge(const void* segment, size_t old_bytes, size_t bytes) {
  const uint64_t first = reinterpret_cast<uint64_t>(segment) >> kWindowShift;
  const uint64_t old_end = first + ((old_bytes - 1) >> kWindowShift) + 1;
  const uint64_t new_end = first + ((bytes - 1) >> kWindowShift) + 1;
  const uint64_t end = new_end > old_end ? new_end : old_end;
  for (uint64_t at = first + LowestBit(first); at < end; at += LowestBit(at)) {
    if (at < (new_end > old_end ? old_end : new_end)) continue;
    std::atomic<uint64_t>* const mark = FindOrMake(huge_root_, at);
    if (mark == nullptr) {
      ResizeHuge(segment, (at - first) << kWindowShift, old_bytes);
      return false;
    }
    mark->store(new_end > old_end ? Mark(at - first) : 0, std::memory_order_release);
  }
  return true;
}

void PageMap::Forget(const void* segment) {
  if (os::IsSealed()) return;
  const uint64_t first = reinterpret_cast<uint64_t>(segment) >> kSliceShift;
  std::atomic<uint64_t>* const entries = At(root_, first);
  if (entries == nullptr) return;
  static_assert(kWindowSlices * sizeof(*entries) == 4096);
  os::Call(SYS_madvise, reinterpret_cast<long>(entries),
           static_cast<long>(kWindowSlices * sizeof(*entries)), MADV_DONTNEED);
}

}  // namespace taskmem
