// A call that waits for the lock of a block, on the stack of its thread. Internal to
// BlockInfoManager.
#ifndef TASKMEM_SPILL_LOCKS_BLOCK_LOCK_WAITER_H_
#define TASKMEM_SPILL_LOCKS_BLOCK_LOCK_WAITER_H_

#include <atomic>
#include <cstdint>

#include "spill/locks/block_info_manager.h"

namespace taskmem {

// It is linked, and belongs to whoever holds the lock, until it is signalled; then to its
// thread again.
struct BlockInfoManager::Waiter {
  enum class Kind : uint8_t { kRead, kWrite, kNew };

  Kind kind;
  Block* block;
  int64_t task;
  StorageLevel level;  // kNew: the block's, if it vanishes
  Hold* spare;         // kRead, kNew
  const Cancellation* cancellation = nullptr;

  LockOutcome outcome = LockOutcome::kLocked;
  bool is_new = false;  // kNew: this call has registered the block
  StoreErrorCode error = StoreErrorCode::kNone;

  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  bool is_waiting = false;
  std::atomic<uint32_t> signalled{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_LOCKS_BLOCK_LOCK_WAITER_H_
