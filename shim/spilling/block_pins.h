// Pins that the program holds by a handle: what a stale or a foreign handle cannot break, and
// what a task leaves behind when it ends.
#ifndef TASKMEM_SHIM_SPILLING_BLOCK_PINS_H_
#define TASKMEM_SHIM_SPILLING_BLOCK_PINS_H_

#include <cstdint>

#include "accounting/tasks/task_book.h"
#include "shim/heap/heap.h"
#include "spill/blocks/block_manager.h"

namespace taskmem {

// Who locks blocks for this incarnation of a task; for no task kNonTaskWriter.
inline int64_t BlockUserOf(const CurrentTask& task) {
  if (task.slot < kFirstTaskSlot) return BlockInfoManager::kNonTaskWriter;
  return (int64_t{task.generation} << 16) | int64_t{task.slot};
}

struct PinHandle {
  uint32_t index;
  uint64_t serial;
};

// Where a pin is kept; not in use until it is kept.
struct PinPlace;
// nullptr: there is no memory.
PinPlace* TakePinPlace();
BlockPin& PinOf(PinPlace& place);
// False: the task that has pinned it has ended meanwhile, and the place is given back.
bool KeepPin(PinPlace* place, const CurrentTask& task, PinHandle* handle);
// Nobody keeps it.
void ReturnPinPlace(PinPlace* place);

bool HasTaskEnded(const CurrentTask& task);

// Gives a pin up. False: there is none of that handle.
bool DropPin(const PinHandle& handle);

// The task in the slot has ended: its pins go, with Spark's line where there were any (TASK-3).
// No lock is held.
void EndTaskInBlocks(uint32_t slot);

// For fork(), in front of the store's.
void AddBlockPinLocks(ForkLocks* locks);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILLING_BLOCK_PINS_H_
