// A mutex that lends the holder the priority of who waits for it: a real-time thread that
// waits for a thread of low priority makes it run. Its word says who holds it.
//
// Below malloc: constant-initialised, no allocation, errno is kept. Where nobody waits, it is
// one atomic exchange each way and no system call.
#ifndef TASKMEM_ACCOUNTING_BASE_PI_MUTEX_H_
#define TASKMEM_ACCOUNTING_BASE_PI_MUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "accounting/base/errno_keeper.h"

namespace taskmem {

// Not recursive: who may have it already, as a signal handler may, asks IsHeldBy first.
// `tid` is the calling thread's own, as the kernel numbers it.
class PiMutex {
 public:
  constexpr PiMutex() = default;
  PiMutex(const PiMutex&) = delete;
  PiMutex& operator=(const PiMutex&) = delete;

  bool IsHeldBy(uint32_t tid) const {
    return (word_.load(std::memory_order_relaxed) & FUTEX_TID_MASK) == tid;
  }
  bool IsHeld() const { return (word_.load(std::memory_order_relaxed) & FUTEX_TID_MASK) != 0; }

  bool TryLock(uint32_t tid) {
    uint32_t expected = 0;
    return word_.compare_exchange_strong(expected, tid, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  void Lock(uint32_t tid) {
    if (!TryLock(tid)) LockSlow(tid);
  }

  // By the holder, whatever its number is now.
  void Unlock() {
    uint32_t seen = word_.load(std::memory_order_relaxed);
    if ((seen & ~static_cast<uint32_t>(FUTEX_TID_MASK)) != 0 ||
        !word_.compare_exchange_strong(seen, 0, std::memory_order_release,
                                       std::memory_order_relaxed)) {
      UnlockSlow();
    }
  }

  // In a fork child only: the threads that had it, or waited for it, do not exist there.
  // `tid` 0: it is free now; else the calling thread, which had it in the parent, has it.
  void ResetAfterFork(uint32_t tid) { word_.store(tid, std::memory_order_relaxed); }

 private:
  // 0, or the holder's tid, with FUTEX_WAITERS where the kernel knows of threads that wait.
  std::atomic<uint32_t> word_{0};

  long Futex(int operation) {
    return syscall(SYS_futex, &word_, operation | FUTEX_PRIVATE_FLAG, 0, nullptr, nullptr, 0);
  }

  __attribute__((noinline)) void LockSlow(uint32_t tid) {
    const ErrnoKeeper keeper;
    while (Futex(FUTEX_LOCK_PI) != 0) {
      // The word names this thread: a thread that ended with the mutex had its number.
      if (errno == EDEADLK) break;
      if (errno == ESRCH) {
        // A thread that ended with the mutex, by the bare system call: nobody will give it back.
        uint32_t seen = word_.load(std::memory_order_relaxed);
        if (word_.compare_exchange_strong(seen, tid, std::memory_order_acquire)) break;
      } else if (errno != EINTR) {
        // EAGAIN: the holder is ending. Else the kernel has no such futex, or no memory for it.
        const timespec nap = {0, 20'000};
        syscall(SYS_nanosleep, &nap, nullptr);
      }
      if (TryLock(tid)) break;
    }
    // The kernel wrote the word: what its holder released (UnlockSlow) is acquired here.
    static_cast<void>(word_.load(std::memory_order_acquire));
  }

  __attribute__((noinline)) void UnlockSlow() {
    const ErrnoKeeper keeper;
    word_.fetch_or(0, std::memory_order_release);
    // Refused only where the word is not this thread's any more, as in the child of a raw fork.
    if (Futex(FUTEX_UNLOCK_PI) != 0) word_.store(0, std::memory_order_release);
  }
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_PI_MUTEX_H_
