// A mutex that works everywhere the preload library does: constant-initialised,
// no allocation, no C++ runtime, may be re-initialised in a fork child.
#ifndef TASKMEM_ACCOUNTING_MUTEX_H_
#define TASKMEM_ACCOUNTING_MUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

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
      Futex(FUTEX_WAKE_PRIVATE, 1);
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
      Futex(FUTEX_WAIT_PRIVATE, kContended);
    }
  }

  void Futex(int operation, uint32_t value) {
    const int saved_errno = errno;
    syscall(SYS_futex, &state_, operation, value, nullptr, nullptr, 0);
    errno = saved_errno;
  }

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
