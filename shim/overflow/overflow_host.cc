#include "shim/overflow/overflow_host.h"

#include <sys/uio.h>

#include <cstring>

#include "shim/books/overflow_book.h"
#include "shim/books/page_map.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr size_t kChunkBytes = OverflowPager::kChunkBytes;
constexpr uint64_t kUnitChunks = OverflowFile::kUnitBytes / kChunkBytes;
static_assert(kChunkBytes == size_t{1} << PageMap::kSliceShift);

// Of memory that no quota bounds: what the allocator has free, and of ended tasks.
constexpr uint64_t kUnownedShare = uint64_t{2} << 20;

// The slot that an entry of the page map names; false: it names none.
bool SlotAt(uintptr_t address, uint32_t* slot) {
  const uint64_t entry = PageMap::Look(reinterpret_cast<const void*>(address)).entry;
  switch (PageMap::KindOf(entry)) {
    case PageMap::kOwned:
    case PageMap::kLarge:
    case PageMap::kAligned: *slot = PageMap::SlotOf(entry); return true;
    case PageMap::kShared: *slot = kEndedTasksSlot; return true;
    default: return false;
  }
}

// What a task may hold in all: its quota, or where it has none the process's memory.
uint64_t BoundOf(const TaskBook& book) {
  const uint64_t quota = book.quota_bytes.load(std::memory_order_relaxed);
  const uint64_t memory = g_stats->pools.memory_bytes.load(std::memory_order_relaxed);
  return quota < memory ? quota : memory;
}

// What the pools have left beside what all tasks hold.
uint64_t PoolRoom() {
  const PoolStats& pools = g_stats->pools;
  const uint64_t memory = pools.memory_bytes.load(std::memory_order_relaxed);
  const uint64_t used = pools.execution_used_bytes.load(std::memory_order_relaxed) +
                        pools.storage_used_bytes.load(std::memory_order_relaxed);
  if (memory == kNoPool) return UINT64_MAX;
  const uint64_t room = memory + pools.untouched_bytes.load(std::memory_order_relaxed);
  return room > used ? room - used : 0;
}

}  // namespace

uint64_t OverflowHost::ChunkEnd() { return file_->high_bytes() / kChunkBytes; }

void OverflowHost::CountPages(uint64_t first, uint32_t count, uint8_t* pages) {
  memset(pages, 0, count);
  for (uint64_t unit = first / kUnitChunks; unit * kUnitChunks < first + count; ++unit) {
    OverflowFile::Run run;
    if (!file_->RunAt(static_cast<uint32_t>(unit), &run) || !run.is_in_file) continue;
    // The part of the unit that is asked for.
    uint64_t begin = unit * kUnitChunks > first ? unit * kUnitChunks : first;
    uint64_t end = (unit + 1) * kUnitChunks;
    const uint64_t run_end =
        (run.start + run.bytes - file_->begin() + kChunkBytes - 1) / kChunkBytes;
    if (run_end < end) end = run_end;
    if (first + count < end) end = first + count;
    if (begin < end) {
      pages_.Count(AddressOf(begin), kChunkBytes, static_cast<uint32_t>(end - begin),
                   pages + (begin - first));
    }
  }
}

uint32_t OverflowHost::OwnerOf(uint64_t chunk) {
  uint32_t slot = OverflowPager::kNobody;
  if (SlotAt(AddressOf(chunk), &slot) || chunk % kUnitChunks != 0) return slot;
  // A segment's head is as warm as its pages: it goes with the first that is in use.
  for (uint64_t i = 1; i < kUnitChunks; ++i) {
    if (SlotAt(AddressOf(chunk + i), &slot)) return slot;
  }
  return OverflowPager::kNobody;
}

// The allocator keeps what is freed for a while: it is resident, and no longer charged.
void OverflowHost::NotePrivate(uint64_t bytes) {
  const auto charged = static_cast<int64_t>(g_stats->charged_bytes.load(std::memory_order_relaxed));
  const int64_t unclaimed = static_cast<int64_t>(bytes) - charged;
  if (unclaimed < least_unclaimed_) least_unclaimed_ = unclaimed;
  unclaimed_growth_ = static_cast<uint64_t>(unclaimed - least_unclaimed_);
}

// The pager comes late on a busy machine: by how much is learned, and forgotten slowly.
void OverflowHost::NoteLate(uint64_t bytes) {
  lag_bytes_ = bytes > lag_bytes_ ? bytes : lag_bytes_ - lag_bytes_ / 256;
}

// Below the margin, less what is charged. Where the charge alone is as much, some must be
// resident all the same: the task works with it.
OverflowPager::Share OverflowHost::ShareOf(uint32_t slot) {
  if (slot < kFirstTaskSlot) return {kUnownedShare, kUnownedShare / 2};
  const TaskBook& book = g_books[slot];
  const uint64_t bound = BoundOf(book);
  if (bound == UINT64_MAX) return {UINT64_MAX, UINT64_MAX};
  const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed) + unclaimed_growth_;
  const uint64_t lag = lag_bytes_ < bound / 8 ? lag_bytes_ : bound / 8;
  const uint64_t most = bound - OverflowMargin(bound) - lag;
  uint64_t high = most > charged ? most - charged : 0;
  // Tasks that are below their quotas may be above the process's memory together.
  const uint64_t room = PoolRoom();
  if (high > room) high = room;
  const uint64_t floor =
      g_overflow_first.load(std::memory_order_relaxed) != 0 ? bound / 8 : bound / 32;
  if (high < floor) high = floor;
  const uint64_t low = high > bound / 4 ? high - bound / 8 : high / 2;
  return {high, low};
}

uint64_t OverflowHost::CacheBytes() {
  constexpr uint64_t kLeast = uint64_t{16} << 20;
  constexpr uint64_t kMost = uint64_t{256} << 20;
  const uint64_t part = resident_.load(std::memory_order_relaxed) / 4;
  return part < kLeast ? kLeast : part > kMost ? kMost : part;
}

void OverflowHost::Unmap(const OverflowPager::Run* runs, uint32_t count) {
  iovec ranges[OverflowPager::kMostRuns] = {};
  for (uint32_t i = 0; i < count; ++i) {
    ranges[i] = {reinterpret_cast<void*>(AddressOf(runs[i].first)), runs[i].count * kChunkBytes};
  }
  if (pages_.Unmap(ranges, count)) return;
  for (uint32_t i = 0; i < count; ++i) {
    OverflowFile::Unmap(AddressOf(runs[i].first), runs[i].count * kChunkBytes);
  }
}

bool OverflowHost::WriteAndDrop(uint64_t first, uint64_t count) {
  return file_->WriteAndDrop(AddressOf(first), count * kChunkBytes);
}

void OverflowHost::NotePushedOut(uint32_t slot, uint64_t bytes) {
  g_reclaim_books[slot].pushed_out_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void OverflowHost::NoteReturned(uint32_t slot, uint64_t bytes) {
  g_reclaim_books[slot].returned_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace taskmem
