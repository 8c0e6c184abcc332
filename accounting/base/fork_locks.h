// The locks that a thread takes before it forks, so that the child finds what they guard whole.
#ifndef TASKMEM_ACCOUNTING_BASE_FORK_LOCKS_H_
#define TASKMEM_ACCOUNTING_BASE_FORK_LOCKS_H_

#include <cstdint>

#include "accounting/base/mutex.h"

namespace taskmem {

// In lock order. A lock that the thread held already, where a signal handler interrupted it, is
// left alone by all functions: what it guards is finished by the code that was interrupted, in
// the parent and in the child.
class ForkLocks {
 public:
  static constexpr uint32_t kMost = 32;

  void Add(Mutex& mutex) {
    if (count_ < kMost) mutex_[count_++] = &mutex;
  }

  bool HoldsAny() const {
    for (uint32_t i = 0; i < count_; ++i) {
      if (mutex_[i]->IsHeldByThisThread()) return true;
    }
    return false;
  }

  // Waits at most that long for each. One that another thread keeps all the time is not taken:
  // then false, and it may be called again.
  bool LockAll(int64_t patience_ns) {
    bool has_all = true;
    for (uint32_t i = 0; i < count_; ++i) {
      if (!mutex_[i]->LockForFork(patience_ns)) has_all = false;
    }
    return has_all;
  }
  void UnlockAll() {
    for (uint32_t i = count_; i-- > 0;) mutex_[i]->UnlockAfterFork();
  }
  // In the child: frees those that other threads held, too.
  void ResetAll() {
    for (uint32_t i = 0; i < count_; ++i) mutex_[i]->ResetAfterFork();
  }

 private:
  Mutex* mutex_[kMost] = {};
  uint32_t count_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_FORK_LOCKS_H_
