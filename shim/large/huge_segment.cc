#include "shim/large/huge_segment.h"

#include <sys/mman.h>

#include <atomic>

#include "shim/base/os.h"
#include "shim/books/page_map.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/seams.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/segments/kept_segments.h"
#include "shim/segments/segment_addresses.h"
#include "shim/sites/sites.h"

namespace taskmem {

namespace {

// Of a segment that is not of the overflow file. mimalloc's own mappings are at addresses that
// the system gives to nobody else.
size_t MappedBytes(mi_segment_t* segment) {
  const size_t bytes = mi_segment_size(segment);
  return segment->memid == kHugeMemory ? WholeWindow(bytes) : bytes;
}

}  // namespace

char* PageStart(const mi_segment_t* segment) {
  return reinterpret_cast<char*>(const_cast<mi_segment_t*>(segment)) +
         segment->segment_info_slices * kSliceBytes;
}

size_t UnchargedPrefix(const mi_segment_t* segment) {
  return segment->mem_align_offset == 0
             ? 0
             : segment->mem_align_offset - segment->segment_info_slices * kSliceBytes;
}

mi_page_t* HugePage(mi_segment_t* segment) {
  return mi_slice_to_page(&segment->slices[segment->segment_info_slices]);
}

namespace {

// Tells mimalloc how much of it is mapped.
void SetSegmentBytes(mi_segment_t* segment, size_t bytes) {
  const size_t slices = bytes / kSliceBytes;
  segment->segment_slices = slices;
  segment->slice_entries = slices < MI_SLICES_PER_SEGMENT ? slices : MI_SLICES_PER_SEGMENT;
  HugePage(segment)->slice_count = static_cast<uint32_t>(slices - segment->segment_info_slices);
}

bool EnlargeInPlace(mi_segment_t* segment, size_t bytes) {
  const size_t old_bytes = mi_segment_size(segment);
  const size_t mapped_bytes = MappedBytes(segment);
  if (segment->memid == kOverflowMemory) {
    if (!ExtendOverflowSegment(segment, old_bytes, bytes)) return false;
  } else if (bytes > mapped_bytes &&
             os::Failed(os::Call(SYS_mremap, reinterpret_cast<long>(segment),
                                 static_cast<long>(mapped_bytes), static_cast<long>(bytes), 0))) {
    return false;
  }
  if (PageMap::ResizeHuge(segment, old_bytes, bytes)) {
    SetSegmentBytes(segment, bytes);
    return true;
  }
  if (segment->memid == kOverflowMemory) {
    ShrinkOverflowSegment(segment, bytes, old_bytes);
  } else if (bytes > mapped_bytes) {
    os::Unmap(reinterpret_cast<char*>(segment) + mapped_bytes, bytes - mapped_bytes);
  }
  return false;
}

// To addresses that are reserved before. The tables forget the old ones before others can get
// them, and learn the new ones when they are ours; nobody asks for the block meanwhile.
mi_segment_t* MoveSegment(mi_segment_t* segment, size_t bytes) {
  const size_t target_bytes = WholeWindow(bytes);
  char* const target = ReserveAligned(target_bytes, MI_SEGMENT_ALIGN, 0, PROT_NONE);
  if (target == nullptr) return nullptr;
  const size_t old_bytes = mi_segment_size(segment);
  char* const start = PageStart(segment);
  char* const new_start = target + segment->segment_info_slices * kSliceBytes;
  std::atomic<uint64_t>* const old_place = PageMap::FindHuge(start);
  // The map's own memory is there from here on: nothing below fails for want of it.
  if (!PageMap::SetHuge(target, bytes, 0)) {
    os::Unmap(target, target_bytes);
    return nullptr;
  }
  SiteTable::Sample sample = {};
  if (ListState(HugePage(segment)) == kIsSample) {
    sample = g_site_table.Remove(reinterpret_cast<uint64_t>(start));
  }
  NoteSegment(segment, false);
  // Taken out at once, so that who folds its owner finds it here or there.
  const uint64_t entry = old_place->exchange(0, std::memory_order_acq_rel);
  PageMap::SetHuge(segment, old_bytes, 0);
  const long moved =
      os::Call(SYS_mremap, reinterpret_cast<long>(segment), static_cast<long>(MappedBytes(segment)),
               static_cast<long>(target_bytes), MREMAP_MAYMOVE | MREMAP_FIXED,
               reinterpret_cast<long>(target));
  if (!os::Failed(moved)) {
    auto* const new_segment = reinterpret_cast<mi_segment_t*>(target);
    SetSegmentBytes(new_segment, bytes);
    new_segment->memid = kHugeMemory;
    new_segment->cookie = _mi_ptr_cookie(new_segment);
    NoteSegment(new_segment, true);
    PageMap::SetHuge(new_segment, bytes, entry);
    if (sample.stack != nullptr) {
      g_site_table.Remember(reinterpret_cast<uint64_t>(new_start), sample.stack, sample.bytes,
                            sample.weight);
    }
    return new_segment;
  }
  // The system has unmapped the target before it failed (where parts of the block have other
  // properties than the rest, which the program gave them): others may be there by now.
  PageMap::SetHuge(segment, old_bytes, entry);
  NoteSegment(segment, true);
  if (sample.stack != nullptr) {
    g_site_table.Remember(reinterpret_cast<uint64_t>(start), sample.stack, sample.bytes,
                          sample.weight);
  }
  return nullptr;
}

}  // namespace

mi_segment_t* EnlargeSegment(mi_segment_t* segment, size_t least_bytes) {
  constexpr size_t kRoomShare = 8;
  // mimalloc has mapped something before it that goes with it.
  if (segment->memid == 0 && segment->mem_align_offset != 0) return nullptr;
  least_bytes = _mi_align_up(least_bytes, kSliceBytes);
  const size_t with_room = _mi_align_up(least_bytes + least_bytes / kRoomShare, kSliceBytes);
  for (const size_t bytes : {with_room, least_bytes}) {
    if (EnlargeInPlace(segment, bytes)) return segment;
    if (segment->memid == kOverflowMemory) continue;
    if (mi_segment_t* moved = MoveSegment(segment, bytes)) return moved;
  }
  return nullptr;
}

void NoteChangedByProgram(const void* address) {
  const PageMap::Place place = PageMap::Look(address);
  const bool is_huge =
      PageMap::KindOf(place.entry) == PageMap::kLarge &&
      (reinterpret_cast<uint64_t>(place.start) & (MI_SEGMENT_ALIGN - 1)) == PageMap::kHugeStart &&
      PageMap::Get(place.start) == 0;
  if (is_huge) IsNeverKept(reinterpret_cast<mi_segment_t*>(place.start - kSliceBytes)) = true;
}

void TrimSegment(mi_segment_t* segment, size_t used_bytes) {
  const size_t old_bytes = mi_segment_size(segment);
  const size_t bytes = _mi_align_up(used_bytes, kSliceBytes);
  char* const at = reinterpret_cast<char*>(segment);
  if (segment->memid == kOverflowMemory) {
    if (bytes == old_bytes) return;
    SetSegmentBytes(segment, bytes);
    PageMap::ResizeHuge(segment, old_bytes, bytes);
    return ShrinkOverflowSegment(segment, old_bytes, bytes);
  }
  const size_t mapped_bytes = MappedBytes(segment);
  SetSegmentBytes(segment, bytes);
  PageMap::ResizeHuge(segment, old_bytes, bytes);
  const size_t kept_bytes = MappedBytes(segment);
  if (used_bytes < kept_bytes) DropPages(at + used_bytes, kept_bytes - used_bytes);
  if (kept_bytes < mapped_bytes) os::Unmap(at + kept_bytes, mapped_bytes - kept_bytes);
}

}  // namespace taskmem
