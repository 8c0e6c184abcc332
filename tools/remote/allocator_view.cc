#include "tools/remote/allocator_view.h"

#include <algorithm>
#include <cstring>

#include "accounting/tasks/task_book.h"
#include "shim/books/page_map.h"

namespace taskmem {
namespace {

constexpr uint64_t kSliceBytes = uint64_t{1} << PageMap::kSliceShift;

LedgerClass ClassOfSlot(uint32_t slot) {
  return slot == kUntrackedSlot ? LedgerClass::kUntrackedPages : LedgerClass::kTaskPages;
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
    : memory_(memory),
      layout_(layout),
      slices_{layout.page_map_root, PageMap::kRootEntries, {}, {}},
      windows_{layout.huge_map_root, PageMap::kHugeRootEntries, {}, {}} {
  // Offsets and sizes are within bounds: IsPlausible (audit_layout_check.h).
  const auto slots =
      memory.ReadArray<unsigned char>(layout.cache, layout.cache_slots * layout.cache_slot_bytes);
  for (size_t at = layout.cache_pointer_at; at + sizeof(uint64_t) <= slots.size();
       at += layout.cache_slot_bytes) {
    uint64_t segment;
    memcpy(&segment, &slots[at], sizeof(segment));
    if (segment != 0) cached_segments_.insert(segment);
  }
  for (const uint64_t word : memory.ReadArray<uint64_t>(layout.kept_segments, layout.kept_slots)) {
    if (word != 0) kept_segments_.push_back(KeptSegment::Unpacked(word));
  }
}

uint64_t AllocatorView::Leaf(Table* table, uint64_t index) {
  if (index >= table->root_entries) return 0;
  const auto [found, is_new] = table->leaves.try_emplace(index, 0);
  if (is_new) {
    found->second = memory_.Read<uint64_t>(table->root + index * sizeof(uint64_t)).value_or(0);
  }
  return found->second;
}

uint64_t AllocatorView::Entry(Table* table, uint64_t number) {
  const uint64_t leaf = Leaf(table, number >> PageMap::kLeafShift);
  if (leaf == 0) return 0;
  constexpr uint64_t kGroup = PageMap::kWindowSlices;
  const auto [found, is_new] = table->groups.try_emplace(number / kGroup);
  if (is_new) {
    const uint64_t first = number / kGroup * kGroup & (PageMap::kLeafEntries - 1);
    found->second = memory_.ReadArray<uint64_t>(leaf + first * sizeof(uint64_t), kGroup);
  }
  return number % kGroup < found->second.size() ? found->second[number % kGroup] : 0;
}

// The large block in which a slice lies, that is not a huge one.
AllocatorView::Range AllocatorView::LargeAt(uint64_t slice) {
  uint64_t entry = 0;
  for (; slice % PageMap::kWindowSlices != 0; slice = PageMap::Before(slice)) {
    entry = Entry(&slices_, slice);
    if (entry != 0) break;
  }
  if (PageMap::KindOf(entry) == PageMap::kMark) {
    slice -= entry >> 3;
    entry = Entry(&slices_, slice);
  }
  if (PageMap::KindOf(entry) != PageMap::kLarge) return {};
  const uint64_t start = slice << PageMap::kSliceShift;
  return {start, start + PageMap::LargeBytes(entry), PageMap::SlotOf(entry)};
}

// The huge block that reaches into a window.
AllocatorView::Range AllocatorView::HugeIn(uint64_t window) {
  // Most often none was ever near.
  if (Leaf(&windows_, window >> PageMap::kLeafShift) == 0) return {};
  uint64_t entry = 0;
  for (; window != 0; window = PageMap::Before(window)) {
    entry = Entry(&windows_, window);
    if (entry != 0) break;
  }
  if (PageMap::KindOf(entry) == PageMap::kMark) {
    window -= entry >> 3;
    entry = Entry(&windows_, window);
  }
  if (!PageMap::IsLarge(entry)) return {};
  const uint64_t start = PageMap::KindOf(entry) == PageMap::kLarge
                             ? (window << PageMap::kWindowShift) + PageMap::kHugeStart
                             : (window + 1) << PageMap::kWindowShift;
  return {start, start + PageMap::LargeBytes(entry), PageMap::SlotOf(entry)};
}

bool AllocatorView::IsSegment(uint64_t address) const {
  const uint64_t index = address >> layout_.segment_shift;
  if (index >> (PageMap::kAddressBits - layout_.segment_shift) != 0) return false;
  return memory_.Read<uint32_t>(layout_.segment_map + index * sizeof(uint32_t)).value_or(0) != 0 ||
         cached_segments_.contains(index << layout_.segment_shift) ||
         std::any_of(kept_segments_.begin(), kept_segments_.end(),
                     [&](const KeptSegment& kept) { return address - kept.start < kept.bytes; });
}

void AllocatorView::AddShares(uint64_t start, uint64_t end, Shares* shares) {
  slices_.groups.clear();
  windows_.groups.clear();
  const uint64_t window_bytes = uint64_t{1} << layout_.segment_shift;
  const uint64_t leaf_bytes = PageMap::kLeafEntries << PageMap::kSliceShift;
  for (uint64_t at = start; at < end && !memory_.IsTimeUp();) {
    if (at >> PageMap::kAddressBits != 0) return;
    // Where the page map has no leaf the allocator never was.
    const uint64_t leaf = at / leaf_bytes;
    if (Leaf(&slices_, leaf) == 0 &&
        Leaf(&windows_, at >> (PageMap::kWindowShift + PageMap::kLeafShift)) == 0) {
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
  const bool is_segment = IsSegment(window);
  const Range huge = HugeIn(start >> PageMap::kWindowShift);
  bool has_entries = huge.Meets(start, end);
  for (uint64_t slice = first; slice <= last && !has_entries; ++slice) {
    has_entries = Entry(&slices_, slice) != 0;
  }
  if (!is_segment && !has_entries) return;
  const Residency residency(memory_, start, end);
  for (uint64_t slice = first; slice <= last; ++slice) {
    const uint64_t address = slice << PageMap::kSliceShift;
    const uint64_t slice_start = std::max(address, start);
    const uint64_t slice_end = std::min(address + kSliceBytes, end);
    const uint64_t entry = Entry(&slices_, slice);
    uint64_t used = 0;
    switch (PageMap::KindOf(entry)) {
      case PageMap::kOwned:
        used = AddOwned(window, (address - window) >> PageMap::kSliceShift, residency, slice_start,
                        slice_end, PageMap::SlotOf(entry), shares);
        break;
      case PageMap::kShared:
        used = AddShared(entry & ~uint64_t{7}, residency, slice_start, slice_end, shares);
        break;
      default: {
        const Range block = huge.Meets(slice_start, slice_end) ? huge : LargeAt(slice);
        // Slack, or not ours.
        if (!block.Meets(slice_start, slice_end) && !is_segment) continue;
        used = AddLarge(block, residency, slice_start, slice_end, shares);
      }
    }
    const uint64_t resident = residency.Bytes(slice_start, slice_end);
    shares->Add(LedgerClass::kAllocatorSlack, 0, 0, resident > used ? resident - used : 0);
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
  shares->Add(ClassOfSlot(slot), slot, SizeClassOf(block_bytes), bytes);
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
    // What a lessee pays for is its own.
    constexpr uint16_t kLesseeMark = kMaxTaskSlots + 1;
    const uint32_t lease = memory_.Read<uint32_t>(address + layout_.owners_lease_at).value_or(0);
    std::replace(owners_.marks.begin(), owners_.marks.end(), kLesseeMark,
                 static_cast<uint16_t>(lease <= kMaxTaskSlots ? lease : 0));
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
    shares->Add(ClassOfSlot(mark - 1u), mark - 1u, SizeClassOf(owners.block_bytes), bytes);
    used += bytes;
  }
  return used;
}

uint64_t AllocatorView::AddLarge(const Range& block, const Residency& residency,
                                 uint64_t slice_start, uint64_t slice_end, Shares* shares) {
  if (!block.Meets(slice_start, slice_end)) return 0;
  const uint64_t bytes =
      residency.Bytes(std::max(block.start, slice_start), std::min(block.end, slice_end));
  shares->Add(ClassOfSlot(block.slot), block.slot, SizeClassOf(block.end - block.start), bytes);
  return bytes;
}

std::optional<AllocatorView::Block> AllocatorView::FindBlock(uint64_t address) {
  uint64_t entry = Entry(&slices_, address >> PageMap::kSliceShift);
  if (entry == 0 && address % (uint64_t{1} << PageMap::kWindowShift) == PageMap::kHugeStart) {
    entry = Entry(&windows_, address >> PageMap::kWindowShift);
  }
  switch (PageMap::KindOf(entry)) {
    case PageMap::kLarge:
    case PageMap::kAligned: return Block{PageMap::SlotOf(entry), PageMap::LargeBytes(entry)};
    case PageMap::kShared: {
      const Owners& owners = ReadOwners(entry & ~uint64_t{7});
      if (owners.block_bytes == 0 || address < owners.start) return std::nullopt;
      const uint64_t index = (address - owners.start) / owners.block_bytes;
      if (index >= owners.marks.size() || owners.marks[index] == 0) return std::nullopt;
      return Block{owners.marks[index] - 1u, 0};
    }
    default: return std::nullopt;
  }
}

}  // namespace taskmem
