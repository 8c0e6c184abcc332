#include "shim/large/grow.h"

#include <atomic>

#include "accounting/base/errno_keeper.h"
#include "shim/books/overflow_book.h"
#include "shim/books/page_map.h"
#include "shim/heap/upcalls.h"
#include "shim/large/huge_segment.h"
#include "shim/large/large_blocks.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/page_steps.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/segments/extend_page.h"

namespace taskmem {

namespace {

// Where a block lies that has its page for itself.
class LargeBlock {
 public:
  explicit LargeBlock(void* block)
      : segment_(_mi_ptr_segment(block)),
        page_(_mi_segment_page_of(segment_, block)),
        start_(PageBegin(segment_, page_)),
        prefix_(UnchargedPrefix(segment_)),
        offset_(static_cast<size_t>(static_cast<char*>(block) - start_)) {}

  mi_segment_t* segment() const { return segment_; }
  mi_page_t* page() const { return page_; }
  char* start() const { return start_; }
  size_t offset() const { return offset_; }
  bool IsHuge() const { return segment_->kind == MI_SEGMENT_HUGE; }
  std::atomic<uint64_t>* entry() const { return PlaceOfLarge(page_, start_); }
  // As charged.
  uint64_t bytes() const { return PageMap::LargeBytes(entry()->load(std::memory_order_acquire)); }
  uint64_t BytesFor(size_t size) const {
    return _mi_align_up(offset_ - prefix_ + size, PageMap::kUnitBytes);
  }
  // What its page lacks for a charge of `bytes`.
  size_t MissingSlices(uint64_t bytes) const {
    return bytes <= Room() ? 0 : (bytes - Room() + kSliceBytes - 1) / kSliceBytes;
  }
  // What it can be charged where it is.
  uint64_t Room() const { return page_->slice_count * MI_SEGMENT_SLICE_SIZE - prefix_; }
  // Of its segment, when the block is charged `bytes`.
  size_t SegmentBytes(uint64_t bytes) const {
    return static_cast<size_t>(start_ - reinterpret_cast<char*>(segment_)) + prefix_ + bytes;
  }
  // Tells mimalloc how large it is.
  void SetBytes(mi_page_t* page, uint64_t bytes) const {
    const uint64_t all = prefix_ + bytes;
    page->xblock_size = all < MI_HUGE_BLOCK_SIZE ? static_cast<uint32_t>(all) : MI_HUGE_BLOCK_SIZE;
  }

 private:
  mi_segment_t* const segment_;
  mi_page_t* const page_;
  char* const start_;
  const size_t prefix_;
  const size_t offset_;
};

}  // namespace

size_t UsableSize(const void* block) {
  const mi_segment_t* segment = _mi_ptr_segment(block);
  if (__builtin_expect(segment->kind != MI_SEGMENT_HUGE, 1)) return mi_usable_size(block);
  const char* const start = PageStart(segment);
  return UnchargedPrefix(segment) + PageMap::LargeBytes(PageMap::OfPage(start)) -
         static_cast<size_t>(static_cast<const char*>(block) - start);
}

namespace {

// From here on the large block at `start` is charged `bytes`, to the task in `slot`.
Outcome Recharge(std::atomic<uint64_t>* place, const char* start, uint32_t slot, uint64_t bytes,
                 ChargeMode mode) {
  uint64_t entry = place->load(std::memory_order_acquire);
  for (;;) {
    const uint32_t owner = PageMap::SlotOf(entry);
    const uint64_t old_bytes = PageMap::LargeBytes(entry);
    const uint64_t more = owner != slot ? bytes : bytes > old_bytes ? bytes - old_bytes : 0;
    if (more != 0 && !Charge(slot, more, mode)) return Outcome::kOverQuota;
    if (!place->compare_exchange_strong(entry, PageMap::Changed(entry, slot, bytes),
                                        std::memory_order_acq_rel)) {
      if (more != 0) Uncharge(slot, more, mode);  // folded meanwhile
      continue;
    }
    if (owner != slot) {
      CreditAt(start, owner, old_bytes);
      CountPage(owner, -1);
      CountPage(slot, 1);
    } else if (bytes < old_bytes) {
      CreditAt(start, slot, old_bytes - bytes);
    }
    return Outcome::kDone;
  }
}

}  // namespace

uint64_t GrowthBytes(const Growth& growth, uint32_t slot) {
  const LargeBlock at(growth.block);
  const uint64_t entry = at.entry()->load(std::memory_order_relaxed);
  const uint64_t bytes = at.BytesFor(growth.size);
  return PageMap::SlotOf(entry) == slot ? bytes - PageMap::LargeBytes(entry) : bytes;
}

namespace {

// How much more than it needs a block that grows is charged, so that the next steps cost nothing.
uint64_t ChargedAhead(uint32_t slot, uint64_t bytes, ChargeMode mode) {
  constexpr uint64_t kMost = 64 * 1024;
  if (mode == ChargeMode::kOverQuota || IsNearQuota(slot)) return 0;
  const uint64_t ahead = bytes / 32 & ~(PageMap::kUnitBytes - 1);
  return ahead < kMost ? ahead : kMost;
}

}  // namespace

Outcome GrowInPlace(uint32_t slot, const Growth& growth, ChargeMode mode, void** result) {
  const LargeBlock at(growth.block);
  const uint64_t old_bytes = at.bytes();
  uint64_t bytes = at.BytesFor(growth.size);
  Context* const context = t_thread.context;
  const size_t missing = at.IsHuge() ? 0 : at.MissingSlices(bytes);
  if (missing != 0 && !CanExtend(context, at.segment(), at.page(), missing)) {
    return Outcome::kNoMemory;
  }
  const bool has_room = bytes <= at.Room();
  if (InOverflow(growth.block)) {
    if (!has_room && !OverflowUsable(slot, bytes - old_bytes)) return Outcome::kNoMemory;
    mode = ChargeMode::kOverflow;
  }
  // No further than the slices that it needs anyway.
  const uint64_t room = at.Room() + missing * kSliceBytes;
  const uint64_t with_ahead = bytes + ChargedAhead(slot, bytes, mode);
  Outcome outcome = Outcome::kOverQuota;
  if (with_ahead > bytes && with_ahead <= room) {
    outcome = Recharge(at.entry(), at.start(), slot, with_ahead, mode);
    if (outcome == Outcome::kDone) bytes = with_ahead;
  }
  if (outcome != Outcome::kDone) outcome = Recharge(at.entry(), at.start(), slot, bytes, mode);
  if (outcome != Outcome::kDone) return outcome;
  mi_page_t* page = at.page();
  char* start = at.start();
  if (missing != 0) {
    if (!ExtendPage(context, at.segment(), page, missing, RoomToGrow(bytes) / kSliceBytes)) {
      Recharge(at.entry(), at.start(), slot, old_bytes, mode);
      return Outcome::kNoMemory;
    }
  } else if (!has_room) {
    mi_segment_t* segment = EnlargeSegment(at.segment(), at.SegmentBytes(bytes));
    if (segment == nullptr) {
      Recharge(at.entry(), at.start(), slot, old_bytes, mode);
      return Outcome::kNoMemory;
    }
    page = HugePage(segment);
    start = PageStart(segment);
  }
  at.SetBytes(page, bytes);
  ResizeSample(page, start, growth.size);
  if (mode == ChargeMode::kOverflow) NoteTakenInOverflow(slot, bytes - old_bytes);
  *result = start + at.offset();
  return Outcome::kDone;
}

__attribute__((noinline)) void ShrinkInPlace(void* block, size_t size) {
  const ErrnoKeeper keeper;
  const LargeBlock at(block);
  const uint64_t bytes = at.BytesFor(size);
  if (bytes + MI_SEGMENT_SLICE_SIZE > at.bytes()) return;
  at.SetBytes(at.page(), bytes);
  ResizeSample(at.page(), at.start(), size);
  TrimSegment(at.segment(), at.SegmentBytes(bytes));
  uint64_t entry = at.entry()->load(std::memory_order_acquire);
  while (!at.entry()->compare_exchange_weak(
      entry, PageMap::Changed(entry, PageMap::SlotOf(entry), bytes), std::memory_order_acq_rel)) {
  }
  CreditAt(at.start(), PageMap::SlotOf(entry), PageMap::LargeBytes(entry) - bytes);
}

}  // namespace taskmem
