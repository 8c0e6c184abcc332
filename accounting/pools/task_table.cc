#include "accounting/pools/task_table.h"

#include "accounting/base/kernel_memory.h"

namespace taskmem {
TaskTable::~TaskTable() {
  if (mapped_ != nullptr) Unmap(mapped_, capacity_ * sizeof(TaskEntry));
}

bool TaskTable::Grow() {
  if (capacity_ > UINT32_MAX / 2) return false;
  auto* grown = static_cast<TaskEntry*>(MapZeroed(capacity_ * 2 * sizeof(TaskEntry)));
  if (grown == nullptr) return false;
  TaskEntry* const old = entries();
  TaskEntry* const old_mapped = mapped_;
  const uint32_t old_capacity = capacity_;
  mapped_ = grown;
  capacity_ *= 2;
  for (uint32_t i = 0; i < old_capacity; ++i) {
    if (old[i].is_taken) *Slot(old[i].task) = old[i];
  }
  if (old_mapped != nullptr) Unmap(old_mapped, old_capacity * sizeof(TaskEntry));
  return true;
}

TaskEntry* TaskTable::Insert(int64_t task) {
  if ((size_ + 1) * 2 > capacity_ && !Grow()) return nullptr;
  TaskEntry* entry = Slot(task);
  *entry = TaskEntry{};
  entry->task = task;
  entry->is_taken = true;
  ++size_;
  return entry;
}

void TaskTable::Erase(TaskEntry* entry) {
  // Moves later entries of the same run back, so that no probe meets a gap.
  TaskEntry* const all = entries();
  const uint32_t mask = capacity_ - 1;
  uint32_t gap = static_cast<uint32_t>(entry - all);
  for (uint32_t at = (gap + 1) & mask; all[at].is_taken; at = (at + 1) & mask) {
    const uint32_t home = Home(all[at].task);
    // An entry may move to the gap if its home is not after the gap.
    if (((at - home) & mask) >= ((at - gap) & mask)) {
      all[gap] = all[at];
      gap = at;
    }
  }
  all[gap] = TaskEntry{};
  --size_;
}

void TaskTable::Clear() {
  for (uint32_t i = 0; i < capacity_; ++i) entries()[i] = TaskEntry{};
  size_ = 0;
}

}  // namespace taskmem
