// A mutex that works everywhere the preload library does: constant-initialised,
// no allocation, no C++ runtime, may be re-initialised in a fork child.
#ifndef TASKMEM_ACCOUNTING_MUTEX_H_
#define TASKMEM_ACCOUNTING_MUTEX_H_

#include <atomic>
#include <cstdint>

#include "accounting/futex.h"

namespace taskmem {

// Not recursive. Preserves errno.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  bool TryLock() {
    uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire);
  }

  void Lock() {
    if (!TryLock()) LockSlow();
  }

  void Unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) {
      FutexWake(state_, 1);
    }
  }

  // In a fork child only, where the thread that held it does not exist.
  void ResetAfterFork() { state_.store(kFree, std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kHeld = 1;
  static constexpr uint32_t kContended = 2;

  __attribute__((noinline)) void LockSlow() {
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
      FutexWait(state_, kContended);
    }
  }

  std::atomic<uint32_t> state_{kFree};
};

// A mutex that says at every moment who holds it, so that a signal handler can tell
// whether the thread it interrupted does. `tid` is the calling thread's, above 0.
class OwnedMutex {
 public:
  constexpr OwnedMutex() = default;
  OwnedMutex(const OwnedMutex&) = delete;
  OwnedMutex& operator=(const OwnedMutex&) = delete;

  bool IsHeldBy(uint32_t tid) const {
    return (state_.load(std::memory_order_relaxed) & ~kContended) == tid;
  }

  void Lock(uint32_t tid) {
    uint32_t seen = kFree;
    if (state_.compare_exchange_strong(seen, tid, std::memory_order_acquire)) return;
    for (;;) {
      if (seen == kFree) {
        // Others may wait as well.
        if (state_.compare_exchange_strong(seen, tid | kContended, std::memory_order_acquire)) {
          return;
        }
      } else if ((seen & kContended) != 0 ||
                 state_.compare_exchange_strong(seen, seen | kContended)) {
        FutexWait(state_, seen | kContended);
        seen = state_.load(std::memory_order_relaxed);
      }
    }
  }

  void Unlock() {
    if ((state_.exchange(kFree, std::memory_order_release) & kContended) != 0) {
      FutexWake(state_, 1);
    }
  }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kContended = uint32_t{1} << 31;

  std::atomic<uint32_t> state_{kFree};
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

#endif  // TASKMEM_ACCOUNTING_MUTEX_H_
