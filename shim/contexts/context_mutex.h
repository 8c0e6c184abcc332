// The lock of a context (borrow.h). Its word names the holder, by a number that the kernel lends
// priority to, and that a fork changes.
//
// A signal handler may fork amid all that a holder does. The interrupted code goes on in the
// child as well, and ends what it began there: the lock is the child's thread's, under its own
// number. So:
//
//   - A child enters its number in the locks that its thread had in the parent, and frees those
//     of other threads (ContextsAfterFork), before the handler's fork returns: whoever has such a
//     lock is inside the allocator, where books are taken over at once (HeapAfterForkInChild).
//   - No number is kept over calls: each asks for it, and asks again at its end, because the
//     handler may have forked meanwhile.
//   - Who gives a lock back does not say who it is.
#ifndef TASKMEM_SHIM_CONTEXTS_CONTEXT_MUTEX_H_
#define TASKMEM_SHIM_CONTEXTS_CONTEXT_MUTEX_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/debug.h"
#include "accounting/base/pi_mutex.h"
#include "shim/base/os.h"

namespace taskmem {

// Not recursive.
class ContextMutex {
 public:
  constexpr ContextMutex() = default;

  bool IsHeld() const { return mutex_.IsHeld(); }
  bool IsHeldByThisThread() const {
    while (mutex_.IsHeld()) {
      const uint32_t self = Self();
      if (mutex_.IsHeldBy(self)) return true;
      if (Self() == self) return false;
    }
    return false;
  }
  // By the thread that had that number in the parent.
  bool IsHeldBy(uint32_t tid) const { return mutex_.IsHeldBy(tid); }

  bool TryLock() {
    if (mutex_.IsHeld()) return false;
    const uint32_t self = Self();
    TASKMEM_DELAY_POINT(context_lock);
    if (!mutex_.TryLock(self)) return false;
    Correct(self);
    return true;
  }
  void Lock() {
    const uint32_t self = Self();
    TASKMEM_DELAY_POINT(context_lock);
    mutex_.Lock(self);
    Correct(self);
  }
  // Of a context that nobody else knows: the number is known, too. Called again when the context
  // is listed, because a handler may have forked before and found it nowhere.
  void LockUnlisted(uint32_t tid) { mutex_.ResetAfterFork(tid); }

  void Unlock() { mutex_.Unlock(); }

  // PiMutex's.
  void ResetAfterFork(uint32_t tid) { mutex_.ResetAfterFork(tid); }

 private:
  static uint32_t Self() { return static_cast<uint32_t>(os::ThreadId()); }

  // This thread has it, as `tid` or, if a handler has forked since, as what the child calls it.
  void Correct(uint32_t tid) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const uint32_t now = Self();
    if (__builtin_expect(now != tid, 0)) mutex_.ResetAfterFork(now);
  }

  PiMutex mutex_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_CONTEXT_MUTEX_H_
