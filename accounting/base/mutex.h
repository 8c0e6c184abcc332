// A mutex that works everywhere the preload library does: constant-initialised,
// no allocation, no C++ runtime, may be re-initialised in a fork child.
#ifndef TASKMEM_ACCOUNTING_BASE_MUTEX_H_
#define TASKMEM_ACCOUNTING_BASE_MUTEX_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/futex.h"

namespace taskmem {

// Not recursive. Preserves errno. Says at every moment which thread holds it, so that a signal
// handler can tell whether the thread it interrupted does. A thread is known by its control
// block, which it keeps in a child that it forks.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  bool TryLock() {
    uintptr_t expected = kFree;
    return state_.compare_exchange_strong(expected, ThisThread(), std::memory_order_acquire);
  }

  void Lock() {
    if (!TryLock()) LockSlow(ThisThread(), kNoDeadline);
  }

  void Unlock() {
    if ((state_.exchange(kFree, std::memory_order_release) & kContended) != 0) Wake();
  }

  bool IsHeldByThisThread() const {
    return (state_.load(std::memory_order_relaxed) & ~kFlags) == ThisThread();
  }

  // The next three are for a thread that forks, perhaps in a signal handler that interrupted it
  // where it held this mutex: then they leave it alone. False: others had it all the time.
  bool LockForFork(int64_t patience_ns) {
    if (IsHeldByThisThread()) return true;
    uintptr_t expected = kFree;
    return state_.compare_exchange_strong(expected, ThisThread() | kForFork,
                                          std::memory_order_acquire) ||
           LockSlow(ThisThread() | kForFork, DeadlineIn(patience_ns));
  }
  void UnlockAfterFork() {
    const uintptr_t state = state_.load(std::memory_order_relaxed);
    if ((state & ~kContended) == (ThisThread() | kForFork)) Unlock();
  }
  // In the child, where no other thread exists.
  void ResetAfterFork() {
    const uintptr_t state = state_.load(std::memory_order_relaxed);
    if (state != kFree && (state & ~kContended) != ThisThread()) {
      state_.store(kFree, std::memory_order_relaxed);
    }
  }

 private:
  // The holder's control block, which is aligned to 64 bytes, and flags.
  static constexpr uintptr_t kFree = 0;
  static constexpr uintptr_t kContended = 1;
  static constexpr uintptr_t kForFork = 2;
  static constexpr uintptr_t kFlags = 63;

  static uintptr_t ThisThread() { return reinterpret_cast<uintptr_t>(__builtin_thread_pointer()); }

  // A futex compares the lower half: the flags, and enough of the holder.
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

  __attribute__((noinline)) void Wake() { FutexWake(static_cast<const void*>(&state_), 1); }

  // False: the deadline came first.
  __attribute__((noinline)) bool LockSlow(uintptr_t holder, int64_t deadline_ns) {
    uintptr_t seen = state_.load(std::memory_order_relaxed);
    for (;;) {
      if (seen == kFree) {
        // Others may wait as well.
        if (state_.compare_exchange_strong(seen, holder | kContended, std::memory_order_acquire)) {
          return true;
        }
      } else if ((seen & kContended) != 0 ||
                 state_.compare_exchange_strong(seen, seen | kContended)) {
        if (deadline_ns != kNoDeadline && MonotonicNs() >= deadline_ns) return false;
        FutexWait(static_cast<const void*>(&state_), static_cast<uint32_t>(seen | kContended),
                  deadline_ns);
        seen = state_.load(std::memory_order_relaxed);
      }
    }
  }

  std::atomic<uintptr_t> state_{kFree};
};

class MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_MUTEX_H_
