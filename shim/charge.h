// Charging and crediting: the task's book and the process's total.
#ifndef TASKMEM_SHIM_CHARGE_H_
#define TASKMEM_SHIM_CHARGE_H_

#include "shim/context.h"
#include "shim/stats_segment.h"

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

enum class ChargeMode : uint8_t { kWithinQuota, kOverQuota };

// False: the quota does not allow it (kWithinQuota only).
inline bool Charge(uint32_t slot, uint64_t bytes, ChargeMode mode) {
  EnsureOwnBooks();
  TaskBook& book = g_books[slot];
  if (mode == ChargeMode::kOverQuota) {
    book.ChargeOverQuota(bytes);
  } else if (!book.TryCharge(bytes)) {
    return false;
  }
  CountInTotal(static_cast<int64_t>(bytes));
  return true;
}

inline void Credit(uint32_t slot, uint64_t bytes) {
  EnsureOwnBooks();
  g_books[slot].Credit(bytes);
  CountInTotal(-static_cast<int64_t>(bytes));
}

inline void CountPage(uint32_t slot, int64_t change) {
  g_books[slot].pages.fetch_add(static_cast<uint64_t>(change), std::memory_order_relaxed);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CHARGE_H_
