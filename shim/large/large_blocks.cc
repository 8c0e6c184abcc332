#include "shim/large/large_blocks.h"

#include <cstring>

#include "accounting/base/debug.h"
#include "accounting/base/errno_keeper.h"
#include "shim/base/os.h"
#include "shim/books/page_map.h"
#include "shim/large/huge_segment.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/mimalloc/seams.h"
#include "shim/pages/page_steps.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/pages/shared_page.h"
#include "shim/segments/extend_page.h"
#include "shim/segments/held_pages.h"
#include "shim/segments/kept_segments.h"
#include "shim/segments/page_memory.h"
#include "shim/segments/segment_addresses.h"

namespace taskmem {

size_t RoomToGrow(size_t bytes) {
  if (bytes > MI_LARGE_OBJ_SIZE_MAX) return bytes / 8;
  const size_t room = bytes / 2;
  const size_t most = MI_LARGE_OBJ_SIZE_MAX - bytes;
  return room < most ? room : most;
}

namespace {

// The page of a block of `bytes` that grows has been taken, with room, from a segment that may
// have been used before.
void DropRoom(mi_page_t* page, size_t bytes) {
  const mi_segment_t* const segment = _mi_page_segment(page);
  char* const end = PageBegin(segment, page) + page->slice_count * MI_SEGMENT_SLICE_SIZE;
  char* const start = SliceStart(PageBegin(segment, page)) + bytes;
  if (start < end) DropPages(start, static_cast<size_t>(end - start));
}

// Others' blocks may have been the first of the segment. It asks once: other threads' page faults
// wait meanwhile. mimalloc's field is of pages, which its first slice is none of.
void AskOnceForHugePages(mi_segment_t* segment) {
  mi_slice_t& head = segment->slices[0];
  if (head.is_reset) return;
  head.is_reset = true;
  AskForHugePages(reinterpret_cast<char*>(segment), mi_segment_size(segment));
}

}  // namespace

std::atomic<uint64_t>* PlaceOfLarge(const mi_page_t* page, const char* start) {
  const bool is_huge = _mi_page_segment(page)->kind == MI_SEGMENT_HUGE;
  return is_huge ? PageMap::FindHuge(start) : PageMap::Find(start);
}

namespace {

// Tells the page map of the block that has that page. False: no memory for it.
bool NoteLarge(mi_page_t* page, char* start, uint32_t slot, uint64_t bytes) {
  mi_segment_t* const segment = _mi_page_segment(page);
  if (segment->kind != MI_SEGMENT_HUGE) {
    return PageMap::SetLarge(start, page->slice_count, PageMap::Large(slot, bytes));
  }
  const uint64_t entry = segment->mem_align_offset == 0 ? PageMap::Large(slot, bytes)
                                                        : PageMap::AlignedHuge(slot, bytes);
  if (PageMap::SetHuge(segment, mi_segment_size(segment), entry)) return true;
  PageMap::SetHuge(segment, mi_segment_size(segment), 0);  // as far as it got
  return false;
}

// Takes it out of the page map: what its entry was.
uint64_t TakeLargeEntry(mi_page_t* page, const char* start) {
  mi_segment_t* const segment = _mi_page_segment(page);
  if (segment->kind != MI_SEGMENT_HUGE) return PageMap::TakeLarge(start, page->slice_count);
  const uint64_t entry = PageMap::FindHuge(start)->exchange(0, std::memory_order_acq_rel);
  PageMap::SetHuge(segment, mi_segment_size(segment), 0);
  return entry;
}

}  // namespace

Outcome TakeLarge(Context* context, uint32_t slot, size_t size, bool zero, size_t alignment,
                  ChargeMode mode, void** result) {
  if (size > PTRDIFF_MAX) return Outcome::kNoMemory;
  const ErrnoKeeper keeper;
  const size_t huge_alignment = alignment > MI_ALIGNMENT_MAX ? alignment : 0;
  // Such a segment ends with the block, at a multiple of the slice.
  const size_t bytes =
      _mi_align_up(size, huge_alignment == 0 ? PageMap::kUnitBytes : MI_SEGMENT_SLICE_SIZE);
  if (!Charge(slot, bytes, mode)) return Outcome::kOverQuota;
  mi_heap_t* heap =
      mode == ChargeMode::kOverflow ? &context->overflow->shared.heap : &context->shared.heap;
  const size_t room = t_thread.gives_room ? RoomToGrow(bytes) : 0;
  const int64_t slack = context->slack_bytes.load(std::memory_order_relaxed);
  mi_page_t* page = nullptr;
  if (huge_alignment == 0 && mode != ChargeMode::kOverflow) {
    page = TakeHeldPage(context, bytes);
  }
  // A signal handler may come this way amid it.
  const bool wanted_zeros = t_thread.wants_zeros;
  t_thread.wants_zeros = zero;
  TASKMEM_DELAY_POINT(wants_zeros);
  if (page == nullptr) page = TakePageMemory(heap, bytes + room, huge_alignment);
  if (page == nullptr && room != 0) page = TakePageMemory(heap, bytes, huge_alignment);
  t_thread.wants_zeros = wanted_zeros;
  if (page == nullptr) {
    Uncharge(slot, bytes, mode);
    return Outcome::kNoMemory;
  }
  mi_segment_t* const segment = _mi_page_segment(page);
  const bool huge = segment->kind == MI_SEGMENT_HUGE;
  if (room != 0 && !huge && mode != ChargeMode::kOverflow) {
    if (context->slack_bytes.load(std::memory_order_relaxed) < slack) {
      GiveRoomBack(context, page, bytes);
    } else if (segment->used == 1) {
      DropRoom(page, bytes);
    }
  }
  if (__builtin_expect(t_thread.wants_huge_pages, 0) && !huge) AskOnceForHugePages(segment);
  char* const start = StartLargePage(huge ? nullptr : heap, page,
                                     huge_alignment == 0 ? bytes : mi_page_block_size(page));
  if (!NoteLarge(page, start, slot, bytes)) {
    GivePageMemory(page, true, &heap->tld->segments);
    Uncharge(slot, bytes, mode);
    return Outcome::kNoMemory;
  }
  CountPage(slot, 1);
  CountLarge(context, bytes);
  if (!huge) QueuePage(heap, &heap->pages[MI_BIN_HUGE], page);
  // Where zeros are wanted a huge segment is new, but one of the usual size may have been another.
  const bool is_zero =
      huge && (segment->segment_slices > MI_SLICES_PER_SEGMENT || segment->memid != 0);
  if (huge && zero) IsNeverKept(segment) = true;
  if (huge && room != 0 && segment->memid == kHugeMemory) DropRoom(page, bytes);
  *result = start;
  if (zero && !is_zero && huge_alignment == 0) memset(start, 0, bytes);
  return Outcome::kDone;
}

namespace {

void CreditLarge(mi_page_t* page, char* start) {
  ForgetSample(page, start);
  const uint64_t entry = TakeLargeEntry(page, start);
  CreditAt(start, PageMap::SlotOf(entry), PageMap::LargeBytes(entry));
  CountPage(PageMap::SlotOf(entry), -1);
}

// What may be kept of a segment (segments/kept_segments.h) is what its block had.
void TrimRoom(mi_segment_t* segment, char* start) {
  if (segment->memid != kHugeMemory || segment->mem_align_offset != 0) return;
  const uint64_t entry = PageMap::FindHuge(start)->load(std::memory_order_acquire);
  const size_t used_bytes = MI_SEGMENT_SLICE_SIZE + PageMap::LargeBytes(entry);
  if (_mi_align_up(used_bytes, kSliceBytes) < mi_segment_size(segment)) {
    TrimSegment(segment, used_bytes);
  }
}

}  // namespace

void ReleasePage(mi_page_t* page, bool force, mi_segments_tld_t* tld) {
  const ErrnoKeeper keeper;
  if (os::IsSealed()) force = false;
  char* start = SliceStart(PageBegin(_mi_page_segment(page), page));
  const uint32_t slices = page->slice_count;
  const uint64_t entry = PageMap::OfPage(start);
  if (PageMap::IsLarge(entry)) {
    CreditLarge(page, start);
    if (force || !HoldPage(page)) GivePageMemory(page, force, tld);
    return;
  }
  const uint64_t bytes = uint64_t{page->capacity} * mi_page_block_size(page);
  PageMap::Clear(start, slices);
  if (PageMap::KindOf(entry) == PageMap::kShared) {
    DropOwners(page);
    if (force || !HoldSmallPage(page, bytes)) GivePageMemory(page, force, tld);
  } else {
    const uint32_t slot = PageMap::SlotOf(entry);
    if (force || !HoldSmallPage(page, bytes)) GivePageMemory(page, force, tld);
    CreditAt(start, slot, bytes);
    CountPage(slot, -1);
  }
}

void FreeHugePage(mi_segment_t* segment, mi_page_t* page, mi_block_t* block) {
  const ErrnoKeeper keeper;
  // Abandoned from birth: whoever sets the thread id frees it.
  size_t expected = 0;
  const auto self = reinterpret_cast<mi_threadid_t>(&t_thread);
  if (!segment->thread_id.compare_exchange_strong(expected, self)) return;
  mi_block_set_next(page, block, page->free);
  page->free = block;
  page->used = 0;
  page->is_zero = false;
  char* start = SliceStart(PageBegin(segment, page));
  // Statistics only: the segment is of no context.
  mi_os_tld_t no_os;
  mi_segments_tld_t no_context;
  InitUnownedSegments(&no_context, &no_os);
  TrimRoom(segment, start);
  CreditLarge(page, start);
  _mi_segment_page_free(page, true, &no_context);
}

}  // namespace taskmem
