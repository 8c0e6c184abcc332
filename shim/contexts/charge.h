// Charging and crediting: the task's book and the process's total.
#ifndef TASKMEM_SHIM_CONTEXTS_CHARGE_H_
#define TASKMEM_SHIM_CONTEXTS_CHARGE_H_

#include "accounting/tasks/task_grants.h"
#include "shim/books/after_fork.h"
#include "shim/books/overflow_book.h"
#include "shim/books/pools.h"
#include "shim/contexts/context.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

// A task's book is exact; the process's total, which only its peak is read
// from, may miss this much for each thread.
inline constexpr int64_t kUnpostedLimit = 64 * 1024;

void PostTotal();  // what this thread has not yet added to the total

inline void CountInTotal(int64_t bytes) {
  ThreadState& t = t_thread;
  t.unposted_bytes += bytes;
  // A thread that has left has nobody to post for it later.
  if (t.unposted_bytes > kUnpostedLimit || t.unposted_bytes < -kUnpostedLimit ||
      t.phase == ThreadPhase::kEnded) {
    PostTotal();
  }
}

// kOverflow: memory of the overflow file, which no quota bounds.
enum class ChargeMode : uint8_t { kWithinQuota, kOverQuota, kOverflow };

// False: the quota or the pools do not allow it (kWithinQuota only).
inline bool Charge(uint32_t slot, uint64_t bytes, ChargeMode mode) {
  EnsureOwnBooks();
  if (__builtin_expect(mode == ChargeMode::kOverflow, 0)) {
    CountInOverflow(slot, bytes);
    return true;
  }
  TaskBook& book = g_books[slot];
  if (mode == ChargeMode::kOverQuota) {
    if (book.ChargeOverQuota(bytes) > book.granted_bytes.load(std::memory_order_relaxed)) {
      CoverByPools(slot, bytes);
    }
  } else {
    ChargeOutcome outcome = book.TryCharge(bytes);
    if (__builtin_expect(outcome == ChargeOutcome::kOverGrant, 0)) {
      outcome = ChargeFromPools(slot, bytes);
    }
    if (outcome != ChargeOutcome::kCharged) return false;
  }
  CountInTotal(static_cast<int64_t>(bytes));
  return true;
}

// Near its quota a task takes block by block, so that what stands unused in the
// size classes of its threads is used up before anything is refused.
inline bool IsNearQuota(uint32_t slot) {
  const uint64_t quota = g_books[slot].quota_bytes.load(std::memory_order_relaxed);
  return quota != kNoQuota &&
         g_books[slot].charged_bytes.load(std::memory_order_relaxed) > quota - quota / 8;
}

// Charges `*blocks` blocks of that size, or where that is too much one, in `mode`; says how many.
// False: not even that.
inline bool ChargeSome(uint32_t slot, uint32_t* blocks, uint32_t block_size, ChargeMode mode) {
  if (IsNearQuota(slot)) *blocks = 1;
  if (Charge(slot, uint64_t{*blocks} * block_size, ChargeMode::kWithinQuota)) return true;
  *blocks = 1;
  return Charge(slot, block_size, mode);
}

inline void Credit(uint32_t slot, uint64_t bytes) {
  EnsureOwnBooks();
  TaskBook& book = g_books[slot];
  const uint64_t charged = book.Credit(bytes);
  const bool much_idle = TaskGrants::HasMuchIdle(book, charged, TaskGrants::kMaxIdleBytes,
                                                 g_stats->pools.overdrawn_bytes);
  if (__builtin_expect(much_idle, 0)) ReturnMuchIdleToPools(slot, charged, bytes);
  CountInTotal(-static_cast<int64_t>(bytes));
}

// What lies at `address` is charged to `slot`, whatever its quota is, or credited: in the book
// that the address says.
inline void ChargeAt(const void* address, uint32_t slot, uint64_t bytes) {
  const bool in_overflow = InOverflow(address);
  Charge(slot, bytes, in_overflow ? ChargeMode::kOverflow : ChargeMode::kOverQuota);
  if (__builtin_expect(in_overflow, 0)) NoteOverflowPeak(slot);
}
inline void CreditAt(const void* address, uint32_t slot, uint64_t bytes) {
  if (__builtin_expect(InOverflow(address), 0)) {
    EnsureOwnBooks();
    CreditInOverflow(slot, bytes);
  } else {
    Credit(slot, bytes);
  }
}

inline void CountPage(uint32_t slot, int64_t change) {
  EnsureOwnBooks();
  g_books[slot].pages.fetch_add(static_cast<uint64_t>(change), std::memory_order_relaxed);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_CHARGE_H_
