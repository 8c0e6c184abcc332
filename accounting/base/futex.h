// Waiting for a word to change, without libc's locks: works below malloc.
//
// Everything here keeps errno. Words are private to the process.
#ifndef TASKMEM_ACCOUNTING_BASE_FUTEX_H_
#define TASKMEM_ACCOUNTING_BASE_FUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/monotonic_ns.h"

namespace taskmem {

// Deadlines are of the monotonic clock, in nanoseconds.
inline constexpr int64_t kNoDeadline = INT64_MAX;

// The deadline of a wait of `timeout_ns` that begins now.
inline int64_t DeadlineIn(int64_t timeout_ns) {
  const int64_t now = MonotonicNs();
  return timeout_ns > INT64_MAX - now ? kNoDeadline : now + timeout_ns;
}

// Blocks while the 32-bit word is `value`, until the deadline. May return early.
inline void FutexWait(const void* word, uint32_t value, int64_t deadline_ns = kNoDeadline) {
  const ErrnoKeeper keeper;
  timespec until = {};
  const bool is_bounded = deadline_ns != kNoDeadline;
  if (is_bounded) {
    until.tv_sec = deadline_ns / 1'000'000'000;
    until.tv_nsec = deadline_ns % 1'000'000'000;
  }
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, is_bounded ? &until : nullptr, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}
inline void FutexWait(std::atomic<uint32_t>& word, uint32_t value,
                      int64_t deadline_ns = kNoDeadline) {
  FutexWait(&word, value, deadline_ns);
}

// Wakes up to `threads`. The word may be gone already: waking an address nobody waits at
// is harmless.
inline void FutexWake(const void* word, int threads) {
  const ErrnoKeeper keeper;
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

inline void FutexWake(std::atomic<uint32_t>& word, int threads) { FutexWake(&word, threads); }

inline void FutexWakeAll(std::atomic<uint32_t>& word) { FutexWake(word, INT_MAX); }

// Blocks until the word is not 0. False: the deadline came first.
inline bool AwaitNonZero(std::atomic<uint32_t>& word, int64_t deadline_ns) {
  while (word.load(std::memory_order_acquire) == 0) {
    if (deadline_ns != kNoDeadline && MonotonicNs() >= deadline_ns) return false;
    FutexWait(word, 0, deadline_ns);
  }
  return true;
}

// Makes the word 1 and wakes who awaits that. Who does may destroy the word at once.
inline void SetAndWake(std::atomic<uint32_t>& word) {
  word.store(1, std::memory_order_release);
  FutexWake(word, 1);
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_FUTEX_H_
