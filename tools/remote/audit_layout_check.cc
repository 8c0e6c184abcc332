#include "tools/remote/audit_layout_check.h"

#include "accounting/audit/kept_segment.h"
#include "shim/books/page_map.h"

namespace taskmem {
namespace {

constexpr uint64_t kMostStructureBytes = 1 << 20;

// Whether a field of `bytes` at `offset` lies in a structure of `whole`.
bool LiesIn(uint64_t offset, uint64_t bytes, uint64_t whole) {
  return bytes <= whole && offset <= whole - bytes;
}

bool IsOffset(uint64_t offset) { return offset <= kMostStructureBytes; }

bool HasPlausibleSegments(const AuditLayout& layout) {
  // Entries of the page map for a segment are in one leaf.
  constexpr uint64_t kLeastShift = PageMap::kSliceShift + 1;
  constexpr uint64_t kMostShift = PageMap::kSliceShift + PageMap::kLeafShift;
  constexpr uint64_t kMostSliceBytes = 1024;
  return layout.segment_shift >= kLeastShift && layout.segment_shift <= kMostShift &&
         IsOffset(layout.slices_offset) && layout.slice_bytes <= kMostSliceBytes &&
         LiesIn(layout.slice_offset_at, sizeof(uint32_t), layout.slice_bytes) &&
         LiesIn(layout.slice_capacity_at, sizeof(uint16_t), layout.slice_bytes) &&
         LiesIn(layout.slice_block_at, sizeof(uint32_t), layout.slice_bytes) &&
         IsOffset(layout.small_page_start);
}

bool HasPlausibleCache(const AuditLayout& layout) {
  constexpr uint64_t kMostSlots = 1 << 16;
  constexpr uint64_t kMostSlotBytes = 1024;
  return layout.kept_slots <= KeptSegment::kSlots && layout.cache_slots <= kMostSlots &&
         layout.cache_slot_bytes <= kMostSlotBytes &&
         LiesIn(layout.cache_pointer_at, sizeof(uint64_t), layout.cache_slot_bytes);
}

}  // namespace

bool IsPlausible(const RegionMapLayout& layout) {
  constexpr uint64_t kMostEntryBytes = 256;
  return IsOffset(layout.directory_at) && IsOffset(layout.chunk_count_at) &&
         IsOffset(layout.region_count_at) && IsOffset(layout.regions_at) &&
         layout.entry_bytes <= kMostEntryBytes &&
         LiesIn(layout.entry_chunk_at, sizeof(uint64_t), layout.entry_bytes);
}

bool HasPlausibleLibraries(const AuditLayout& layout) {
  constexpr uint64_t kMostBytes = 4096;
  return layout.library_bytes > 0 && layout.library_bytes <= kMostBytes &&
         layout.library_name_bytes <= layout.library_bytes &&
         LiesIn(layout.library_allocator_at, 1, layout.library_bytes);
}

bool IsPlausible(const AuditLayout& layout) {
  return HasPlausibleSegments(layout) && HasPlausibleCache(layout) &&
         IsOffset(layout.owners_start_at) && IsOffset(layout.owners_block_at) &&
         IsOffset(layout.owners_blocks_at) && IsOffset(layout.owners_lease_at) &&
         IsOffset(layout.owners_array_at) && IsOffset(layout.context_stack_top_at) &&
         IsOffset(layout.context_tid_at) &&
         (layout.mappings.map == 0 || IsPlausible(layout.mappings)) &&
         (layout.library_bytes == 0 || HasPlausibleLibraries(layout));
}

}  // namespace taskmem
