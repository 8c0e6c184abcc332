// Overflow: what a task has beyond its quota lies in a file (spill/overflow/overflow_file.h), and
// its resident share is kept down by a thread of the library's own
// (spill/overflow/overflow_pager.h).
//
//   ordinary memory   charged to the task's book, at most its quota
//   overflow memory   counted in ReclaimBook::overflow_bytes; what is resident of it and
//                     what is charged together are kept below the quota
//
// Which of the two a block is, its address says: InOverflow().
#ifndef TASKMEM_SHIM_BOOKS_OVERFLOW_BOOK_H_
#define TASKMEM_SHIM_BOOKS_OVERFLOW_BOOK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/tasks/task_book.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

// The reserved range; 0 bytes until overflow is used first. `begin` is set before `bytes`.
struct OverflowRange {
  std::atomic<uintptr_t> begin;
  std::atomic<size_t> bytes;
};
extern OverflowRange g_overflow_range;

inline bool InOverflow(const void* address) {
  const size_t bytes = g_overflow_range.bytes.load(std::memory_order_acquire);
  return reinterpret_cast<uintptr_t>(address) -
             g_overflow_range.begin.load(std::memory_order_relaxed) <
         bytes;
}

// Before it is known whether the file has so much.
inline void CountInOverflow(uint32_t slot, uint64_t bytes) {
  g_reclaim_books[slot].overflow_bytes.fetch_add(bytes, std::memory_order_relaxed);
}
// It has.
inline void NoteOverflowPeak(uint32_t slot) {
  ReclaimBook& book = g_reclaim_books[slot];
  ReclaimBook::Raise(book.peak_overflow_bytes, book.overflow_bytes.load(std::memory_order_relaxed));
}
inline void CreditInOverflow(uint32_t slot, uint64_t bytes) {
  g_reclaim_books[slot].overflow_bytes.fetch_sub(bytes, std::memory_order_relaxed);
}

extern std::atomic<uint32_t> g_overflow_first;  // 1: --overflow

// How far below its quota what a task has resident is kept: it may touch some megabytes
// before the pager has its turn, which of a small quota are a larger part.
inline uint64_t OverflowMargin(uint64_t quota_bytes) {
  constexpr uint64_t kLeast = uint64_t{24} << 20;
  const uint64_t least = kLeast < quota_bytes / 3 ? kLeast : quota_bytes / 3;
  const uint64_t part = quota_bytes / 8 + quota_bytes / 16;
  return part > least ? part : least;
}

// How much a task with this quota has as ordinary memory before its next requests go to the
// file. With --overflow half of what it may have resident: the other half is for what is
// resident of the file. Otherwise all of its quota: overflow is then what is tried last.
inline uint64_t OrdinaryShare(uint64_t quota_bytes) {
  return (quota_bytes - OverflowMargin(quota_bytes)) / 2;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_OVERFLOW_BOOK_H_
