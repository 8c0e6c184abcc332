// The task that a thread works for.
#ifndef TASKMEM_SHIM_BOOKS_CURRENT_TASK_H_
#define TASKMEM_SHIM_BOOKS_CURRENT_TASK_H_

#include <cstdint>

#include "accounting/tasks/task_book.h"

namespace taskmem {

// Its slot, and the slot's generation: a later task in the slot is another.
struct CurrentTask {
  uint64_t id;
  uint32_t slot;
  uint32_t generation;
};

inline constexpr CurrentTask kUntrackedTask = {UINT64_MAX, kUntrackedSlot, 0};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_CURRENT_TASK_H_
