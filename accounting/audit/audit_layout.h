// Where in a process's memory the audit finds what the allocator has: addresses and offsets,
// published in the stats segment. Whoever may read the process's memory walks the tables from
// outside; no code runs in the process, and it need not cooperate.
//
// Everything here is right for the life of the process, and inherited by a forked child.
#ifndef TASKMEM_ACCOUNTING_AUDIT_AUDIT_LAYOUT_H_
#define TASKMEM_ACCOUNTING_AUDIT_AUDIT_LAYOUT_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

inline constexpr uint64_t kAuditVersion = 7;

// A range of memory mapped for the library itself. Ranges are appended, and only grow.
struct OwnRange {
  std::atomic<uint64_t> start;
  std::atomic<uint64_t> end;  // 0: not yet filled in
};

// How a RegionMap (accounting/mappings/region_map.h) lies in memory. It changes while it is read:
// two readings that agree are right.
struct RegionMapLayout {
  uint64_t map;             // 0: none
  uint64_t directory_at;    // uint64_t: address of an array with an entry for each chunk
  uint64_t chunk_count_at;  // uint32_t
  uint64_t entry_bytes;
  uint64_t entry_chunk_at;   // uint64_t: address of the chunk
  uint64_t region_count_at;  // in a chunk, uint32_t
  uint64_t regions_at;       // Region[]: start, end, tag
};

struct AuditLayout {
  uint64_t version;  // kAuditVersion once the rest is filled in

  uint64_t page_map_root;  // uint64_t[]: addresses of leaves (shim/books/page_map.h), 0: none
  uint64_t huge_map_root;  // the same for huge blocks
  uint64_t segment_map;    // uint32_t[]: not 0 where a segment begins
  uint64_t segment_shift;  // bytes of address space for each of its entries

  // A segment begins with its header, which describes each slice of it.
  uint64_t slices_offset;      // of the array in the segment
  uint64_t slice_bytes;        // of an array element
  uint64_t slice_offset_at;    // uint32_t: 0 in the first slice of a page
  uint64_t slice_capacity_at;  // uint16_t: blocks in use or once in use
  uint64_t slice_block_at;     // uint32_t: bytes of a block
  uint64_t small_page_start;   // where the blocks begin in a page of blocks ...
  uint64_t small_block_bytes;  // ... of at most this; otherwise at its first byte

  // Free segments that are kept for later: an array of slots with a pointer in each.
  uint64_t cache;
  uint64_t cache_slots;
  uint64_t cache_slot_bytes;
  uint64_t cache_pointer_at;
  // Free huge segments that are kept: uint64_t[] (accounting/audit/kept_segment.h).
  uint64_t kept_segments;
  uint64_t kept_slots;

  // Owners of the blocks of a shared page (shim/pages/shared_page.h).
  uint64_t owners_start_at;   // uint64_t
  uint64_t owners_block_at;   // uint32_t
  uint64_t owners_blocks_at;  // uint32_t
  uint64_t owners_lease_at;   // uint32_t: slot + 1 of the lessee
  uint64_t owners_array_at;   // uint16_t[]: slot + 1; 0: free; kMaxTaskSlots + 1: the lessee's

  // Threads that allocate: an array of pointers.
  uint64_t contexts;
  uint64_t context_count;         // address of a uint32_t
  uint64_t context_stack_top_at;  // uint64_t: an address near the top of the thread's stack
  uint64_t context_tid_at;        // int32_t: above 0 while a thread has it

  uint64_t own_ranges;       // OwnRange[]
  uint64_t own_range_count;  // address of a uint32_t

  RegionMapLayout
      mappings;  // what the program mapped; tags as of accounting/mappings/mapping_tag.h

  // Libraries by their numbers in those tags. Only appended.
  uint64_t libraries;
  uint64_t library_count;  // address of a uint32_t
  uint64_t library_bytes;  // of an array element; it begins with the name ...
  uint64_t library_name_bytes;
  uint64_t library_allocator_at;  // uint8_t: Allocator (accounting/mappings/mapping_tag.h)

  uint64_t residency;              // ResidencyTable (accounting/audit/residency_table.h)
  uint64_t residency_range_bytes;  // address of a uint64_t: of the ranges that are charged by it

  uint64_t sites;     // SiteTableHead (accounting/audit/site_table.h); 0: --sites=off
  uint64_t unloaded;  // UnloadedHead (accounting/audit/unloaded_code.h), where there are sites
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_AUDIT_LAYOUT_H_
