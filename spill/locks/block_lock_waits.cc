// How threads wait for the locks of blocks, and are answered.
#include "accounting/base/futex.h"
#include "spill/locks/block_info_manager.h"

namespace taskmem {

StoreError BlockInfoManager::Wait(Waiter& waiter, const LockWait& wait) {
  waiter.cancellation = wait.cancellation;
  if (wait.cancellation != nullptr && wait.cancellation->is_cancelled()) {
    if (waiter.spare != nullptr) PutSpare(waiter.spare);
    mutex_.Unlock();
    return StoreError(StoreErrorCode::kInterrupted, waiter.task);
  }
  waiter.previous = last_waiter_;
  (last_waiter_ != nullptr ? last_waiter_->next : first_waiter_) = &waiter;
  last_waiter_ = &waiter;
  waiter.is_waiting = true;
  waiting_threads_.fetch_add(1, std::memory_order_relaxed);
  mutex_.Unlock();

  const int64_t deadline =
      wait.timeout_ns == ExecutionRequest::kForever ? kNoDeadline : DeadlineIn(wait.timeout_ns);
  if (!AwaitNonZero(waiter.signalled, deadline)) {
    const MutexLock lock(mutex_);
    if (waiter.is_waiting) {
      waiter.error = StoreErrorCode::kTimedOut;
      Unlink(waiter);
    }
  }
  return StoreError(waiter.error, waiter.task);
}

// The waiter has its answer, or none.
void BlockInfoManager::Unlink(Waiter& waiter) {
  (waiter.previous != nullptr ? waiter.previous->next : first_waiter_) = waiter.next;
  (waiter.next != nullptr ? waiter.next->previous : last_waiter_) = waiter.previous;
  waiter.is_waiting = false;
  waiting_threads_.fetch_sub(1, std::memory_order_relaxed);
  if (waiter.spare != nullptr) PutSpare(waiter.spare);
}

// Ends the wait. `waiter` may be gone when this returns.
void BlockInfoManager::Signal(Waiter& waiter) {
  Unlink(waiter);
  SetAndWake(waiter.signalled);
}

// False: it waits on.
bool BlockInfoManager::TryGrant(Waiter& waiter) {
  Block& block = *waiter.block;
  const bool is_write = waiter.kind == Waiter::Kind::kWrite;
  if (is_write ? !block.IsUnlocked() : block.writer != kNoWriter) return false;
  Task* const task = FindTask(waiter.task);
  if (task == nullptr) {
    waiter.error = StoreErrorCode::kTaskNotRegistered;
  } else if (is_write) {
    SetWriter(block, *task);
  } else {
    AddRead(block, *task, waiter.spare);
    waiter.spare = nullptr;
  }
  return true;
}

// Locks of the block have been given up: who can have them now?
void BlockInfoManager::RunWaiters(Block& block) {
  for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
    Waiter* const next = waiter->next;
    if (waiter->block == &block && TryGrant(*waiter)) Signal(*waiter);
    waiter = next;
  }
}

// The block is no more: answers those who wait to lock it. Returns the first of those who
// wait to register it, who has no answer yet; nullptr: there are none.
BlockInfoManager::Waiter* BlockInfoManager::EndWaiters(Block& block) {
  Waiter* heir = nullptr;
  for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
    Waiter* const next = waiter->next;
    if (waiter->block == &block) {
      if (waiter->kind != Waiter::Kind::kNew) {
        waiter->outcome = LockOutcome::kAbsent;
        Signal(*waiter);
      } else if (heir == nullptr) {
        heir = waiter;
      }
    }
    waiter = next;
  }
  return heir;
}

void BlockInfoManager::EndWaitersOf(int64_t task) {
  for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
    Waiter* const next = waiter->next;
    if (waiter->task == task) {
      waiter->error = StoreErrorCode::kTaskNotRegistered;
      Signal(*waiter);
    }
    waiter = next;
  }
}

void BlockInfoManager::Cancel(const Cancellation& cancellation) {
  const MutexLock lock(mutex_);
  for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
    Waiter* const next = waiter->next;
    if (waiter->cancellation == &cancellation) {
      waiter->error = StoreErrorCode::kInterrupted;
      Signal(*waiter);
    }
    waiter = next;
  }
}

}  // namespace taskmem
