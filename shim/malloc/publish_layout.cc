// Tells the audit where things are (accounting/audit/audit_layout.h).
#include <cstddef>

#include "accounting/audit/audit_layout.h"
#include "shim/base/own_ranges.h"
#include "shim/books/page_map.h"
#include "shim/contexts/registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/shared_page.h"
#include "shim/published/stats_segment.h"
#include "shim/segments/kept_segments.h"
#include "shim/segments/segment_map.h"

namespace taskmem {

// What the audit takes these for: it reads them by their width.
static_assert(sizeof(mi_slice_t::slice_offset) == sizeof(uint32_t));
static_assert(sizeof(mi_slice_t::capacity) == sizeof(uint16_t));
static_assert(sizeof(mi_slice_t::xblock_size) == sizeof(uint32_t));
static_assert(sizeof(PageOwners::start) == sizeof(uint64_t));
static_assert(sizeof(PageOwners::block_size) == sizeof(uint32_t));
static_assert(sizeof(PageOwners::blocks) == sizeof(uint32_t));
static_assert(sizeof(PageOwners::lease) == sizeof(uint32_t));
static_assert(sizeof(Context::stack_top) == sizeof(uint64_t));
static_assert(sizeof(Context::tid) == sizeof(int32_t));
static_assert(sizeof(g_context_count) == sizeof(uint32_t));
static_assert(sizeof(g_own_range_count) == sizeof(uint32_t));
static_assert(MI_SEGMENT_SLICE_SIZE == size_t{1} << PageMap::kSliceShift);

void PublishAuditLayout() {
  const auto address = [](const auto& object) { return reinterpret_cast<uint64_t>(&object); };
  AuditLayout& layout = g_stats->audit;
  layout.page_map_root = PageMap::RootAddress();
  layout.huge_map_root = PageMap::HugeRootAddress();
  layout.segment_map = address(g_segment_map);
  layout.segment_shift = kSegmentShift;
  layout.slices_offset = offsetof(mi_segment_t, slices);
  layout.slice_bytes = sizeof(mi_slice_t);
  layout.slice_offset_at = offsetof(mi_slice_t, slice_offset);
  layout.slice_capacity_at = offsetof(mi_slice_t, capacity);
  layout.slice_block_at = offsetof(mi_slice_t, xblock_size);
  layout.small_page_start = kSmallPageStart;
  layout.small_block_bytes = kSmallBlockBytes;
  const SegmentCachePlace cache = PlaceOfSegmentCache();
  layout.cache = reinterpret_cast<uint64_t>(cache.slots);
  layout.cache_slots = cache.count;
  layout.cache_slot_bytes = cache.slot_bytes;
  layout.cache_pointer_at = cache.pointer_at;
  layout.kept_segments = address(g_kept_segments);
  layout.kept_slots = KeptSegment::kSlots;
  layout.owners_start_at = offsetof(PageOwners, start);
  layout.owners_block_at = offsetof(PageOwners, block_size);
  layout.owners_blocks_at = offsetof(PageOwners, blocks);
  layout.owners_lease_at = offsetof(PageOwners, lease);
  layout.owners_array_at = offsetof(PageOwners, owner);
  layout.contexts = address(g_contexts);
  layout.context_count = address(g_context_count);
  layout.context_stack_top_at = offsetof(Context, stack_top);
  layout.context_tid_at = offsetof(Context, tid);
  layout.own_ranges = address(g_own_ranges);
  layout.own_range_count = address(g_own_range_count);
  DescribeMappings(&layout);
  __atomic_store_n(&layout.version, kAuditVersion, __ATOMIC_RELEASE);
}

}  // namespace taskmem
