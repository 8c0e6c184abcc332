#include "tools/allocator_view.h"

#include <algorithm>
#include <cstring>

#include "accounting/task_book.h"
#include "shim/page_map.h"

namespace taskmem {
namespace {

constexpr uint64_t kSliceBytes = uint64_t{1} << PageMap::kSliceShift;

LedgerClass ClassOfSlot(uint32_t slot) {
  return slot == kUntrackedSlot ? LedgerClass::kUntrackedPages : LedgerClass::kTaskPages;
}

uint64_t OverlapBytes(uint64_t start, uint64_t end, uint64_t from, uint64_t to) {
  const uint64_t low = std::max(start, from);
  const uint64_t high = std::min(end, to);
  return low < high ? high - low : 0;
}

}  // namespace

// Which pages of a part of the address space are in memory.
class AllocatorView::Residency {
 public:
  Residency(const RemoteMemory& memory, uint64_t start, uint64_t end)
      : start_(start), pages_(memory.ResidentPages(start, end)) {}

  // Resident bytes of [start, end), which need not be whole pages.
  uint64_t Bytes(uint64_t start, uint64_t end) const {
    uint64_t bytes = 0;
    while (start < end) {
      const uint64_t page = (start - start_) / kPageBytes;
      const uint64_t page_end = start_ + (page + 1) * kPageBytes;
      if (page < pages_.size() && pages_[page]) bytes += std::min(end, page_end) - start;
      start = page_end;
    }
    return bytes;
  }

 private:
  uint64_t start_;
  std::vector<bool> pages_;
};

AllocatorView::AllocatorView(const RemoteMemory& memory, const AuditLayout& layout)
    : memory_(memory), layout_(layout) {
  // Offsets and sizes are within bounds: IsPlausible (audit_layout_check.h).
  const auto slots =
      memory.ReadArray<unsigned char>(layout.cache, layout.cache_slots * layout.cache_slot_bytes);
  for (size_t at = layout.cache_pointer_at; at + sizeof(uint64_t) <= slots.size();
       at += layout.cache_slot_bytes) {
    uint64_t segment;
    memcpy(&segment, &slots[at], sizeof(segment));
    if (segment != 0) cached_segments_.insert(segment);
  }
}

uint64_t AllocatorView::Leaf(uint64_t index) {
  const auto [found, is_new] = leaves_.try_emplace(index, 0);
  if (is_new) {
    found->second =
        memory_.Read<uint64_t>(layout_.page_map_root + index * sizeof(uint64_t)).value_or(0);
  }
  return found->second;
}

bool AllocatorView::ReadEntries(uint64_t first_slice, size_t count,
                                std::vector<uint64_t>* entries) {
  if (first_slice >> (PageMap::kAddressBits - PageMap::kSliceShift) != 0) return false;
  const uint64_t leaf = Leaf(first_slice >> PageMap::kLeafShift);
  if (leaf == 0) return false;
  const uint64_t at = first_slice & (PageMap::kLeafEntries - 1);
  *entries = memory_.ReadArray<uint64_t>(leaf + at * sizeof(uint64_t), count);
  return !entries->empty();
}

uint64_t AllocatorView::Entry(uint64_t slice) {
  std::vector<uint64_t> entry;
  return ReadEntries(slice, 1, &entry) ? entry[0] : 0;
}

bool AllocatorView::IsSegment(uint64_t address) const {
  const uint64_t index = address >> layout_.segment_shift;
  if (index >> (PageMap::kAddressBits - layout_.segment_shift) != 0) return false;
  return memory_.Read<uint8_t>(layout_.segment_map + index).value_or(0) != 0 ||
         cached_segments_.contains(index << layout_.segment_shift);
}

void AllocatorView::AddShares(uint64_t start, uint64_t end, Shares* shares) {
  const uint64_t window_bytes = uint64_t{1} << layout_.segment_shift;
  const uint64_t leaf_bytes = PageMap::kLeafEntries << PageMap::kSliceShift;
  for (uint64_t at = start; at < end && !memory_.IsTimeUp();) {
    // Where the page map has no leaf the allocator never was.
    const uint64_t leaf = at / leaf_bytes;
    if (at >> PageMap::kAddressBits != 0) return;
    if (Leaf(leaf) == 0) {
      at = (leaf + 1) * leaf_bytes;
      continue;
    }
    const uint64_t window = at / window_bytes * window_bytes;
    AddWindow(window, at, std::min(end, window + window_bytes), shares);
    at = window + window_bytes;
  }
}

void AllocatorView::AddWindow(uint64_t window, uint64_t start, uint64_t end, Shares* shares) {
  const uint64_t first = start >> PageMap::kSliceShift;
  const uint64_t last = (end - 1) >> PageMap::kSliceShift;
  std::vector<uint64_t> entries;
  if (!ReadEntries(first, last - first + 1, &entries)) return;
  const bool is_segment = IsSegment(window);
  const bool has_entries =
      std::any_of(entries.begin(), entries.end(), [](uint64_t entry) { return entry != 0; });
  if (!is_segment && !has_entries) return;
  const Residency residency(memory_, start, end);
  for (uint64_t i = 0; i < entries.size(); ++i) {
    const uint64_t slice = (first + i) << PageMap::kSliceShift;
    const uint64_t slice_start = std::max(slice, start);
    const uint64_t slice_end = std::min(slice + kSliceBytes, end);
    uint64_t used = 0;
    switch (PageMap::KindOf(entries[i])) {
      case PageMap::kOwned:
        used = AddOwned(window, (slice - window) >> PageMap::kSliceShift, residency, slice_start,
                        slice_end, PageMap::SlotOf(entries[i]), shares);
        break;
      case PageMap::kShared:
        used = AddShared(entries[i] & ~uint64_t{7}, residency, slice_start, slice_end, shares);
        break;
      case PageMap::kLarge:
      case PageMap::kLater:
        used = AddLarge(slice, entries[i], residency, slice_start, slice_end, shares);
        break;
      default:
        if (!is_segment) continue;  // not ours
    }
    const uint64_t resident = residency.Bytes(slice_start, slice_end);
    shares->Add(LedgerClass::kAllocatorSlack, 0, resident > used ? resident - used : 0);
    shares->covered_bytes += slice_end - slice_start;
  }
}

// What of a page that is one task's is in use: its blocks as far as they were ever taken.
uint64_t AllocatorView::AddOwned(uint64_t window, uint64_t index, const Residency& residency,
                                 uint64_t slice_start, uint64_t slice_end, uint32_t slot,
                                 Shares* shares) {
  const uint64_t slices = (uint64_t{1} << layout_.segment_shift) / kSliceBytes;
  if (headers_of_ != window) {
    headers_ = memory_.ReadArray<unsigned char>(window + layout_.slices_offset,
                                                slices * layout_.slice_bytes);
    headers_of_ = window;
  }
  if (headers_.empty()) return 0;
  const auto header = [this](uint64_t at) { return &headers_[at * layout_.slice_bytes]; };
  uint32_t distance;
  memcpy(&distance, header(index) + layout_.slice_offset_at, sizeof(distance));
  if (distance / layout_.slice_bytes > index) return 0;
  const uint64_t page = index - distance / layout_.slice_bytes;
  uint16_t capacity;
  uint32_t block_bytes;
  memcpy(&capacity, header(page) + layout_.slice_capacity_at, sizeof(capacity));
  memcpy(&block_bytes, header(page) + layout_.slice_block_at, sizeof(block_bytes));
  const uint64_t start = window + page * kSliceBytes +
                         (block_bytes <= layout_.small_block_bytes ? layout_.small_page_start : 0);
  const uint64_t end = start + uint64_t{capacity} * block_bytes;
  const uint64_t bytes =
      residency.Bytes(std::max(start, slice_start), std::max(std::min(end, slice_end), start));
  shares->Add(ClassOfSlot(slot), slot, bytes);
  return bytes;
}

const AllocatorView::Owners& AllocatorView::ReadOwners(uint64_t address) {
  if (owners_.address == address) return owners_;
  owners_ = {};
  owners_.address = address;
  constexpr uint32_t kMostBlocks = 1 << 16;
  constexpr uint32_t kLeastBlockBytes = 8;
  const auto start = memory_.Read<uint64_t>(address + layout_.owners_start_at);
  const auto block_bytes = memory_.Read<uint32_t>(address + layout_.owners_block_at);
  const auto blocks = memory_.Read<uint32_t>(address + layout_.owners_blocks_at);
  if (start && *start < RemoteMemory::kAddressEnd && block_bytes &&
      *block_bytes >= kLeastBlockBytes && blocks && *blocks <= kMostBlocks) {
    owners_.start = *start;
    owners_.block_bytes = *block_bytes;
    owners_.marks = memory_.ReadArray<uint16_t>(address + layout_.owners_array_at, *blocks);
  }
  return owners_;
}

uint64_t AllocatorView::AddShared(uint64_t address, const Residency& residency,
                                  uint64_t slice_start, uint64_t slice_end, Shares* shares) {
  const Owners& owners = ReadOwners(address);
  uint64_t used = 0;
  uint64_t index = slice_start > owners.start && owners.block_bytes != 0
                       ? (slice_start - owners.start) / owners.block_bytes
                       : 0;
  for (; index < owners.marks.size(); ++index) {
    const uint64_t start = owners.start + index * owners.block_bytes;
    if (start >= slice_end) break;
    const uint16_t mark = owners.marks[index];
    if (mark == 0) continue;
    const uint64_t bytes = residency.Bytes(std::max(start, slice_start),
                                           std::min(start + owners.block_bytes, slice_end));
    shares->Add(ClassOfSlot(mark - 1u), mark - 1u, bytes);
    used += bytes;
  }
  return used;
}

uint64_t AllocatorView::AddLarge(uint64_t slice, uint64_t entry, const Residency& residency,
                                 uint64_t slice_start, uint64_t slice_end, Shares* shares) {
  uint64_t first = slice;
  if (PageMap::KindOf(entry) == PageMap::kLater) {
    first -= (entry >> 3) << PageMap::kSliceShift;
    entry = Entry(first >> PageMap::kSliceShift);
    if (PageMap::KindOf(entry) != PageMap::kLarge) return 0;
  }
  const uint64_t end = first + PageMap::LargeBytes(entry);
  if (OverlapBytes(first, end, slice_start, slice_end) == 0) return 0;
  const uint64_t bytes = residency.Bytes(std::max(first, slice_start), std::min(end, slice_end));
  shares->Add(ClassOfSlot(PageMap::SlotOf(entry)), PageMap::SlotOf(entry), bytes);
  return bytes;
}

std::optional<AllocatorView::Block> AllocatorView::FindBlock(uint64_t address) {
  const uint64_t entry = Entry(address >> PageMap::kSliceShift);
  switch (PageMap::KindOf(entry)) {
    case PageMap::kLarge:
      return Block{PageMap::SlotOf(entry), PageMap::LargeBytes(entry)};
    case PageMap::kShared: {
      const Owners& owners = ReadOwners(entry & ~uint64_t{7});
      if (owners.block_bytes == 0 || address < owners.start) return std::nullopt;
      const uint64_t index = (address - owners.start) / owners.block_bytes;
      if (index >= owners.marks.size() || owners.marks[index] == 0) return std::nullopt;
      return Block{owners.marks[index] - 1u, 0};
    }
    default:
      return std::nullopt;
  }
}

}  // namespace taskmem
