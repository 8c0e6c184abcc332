// A hash table from task ids to what a pool knows of them.
//
// Allocates nothing: it lies in place up to kInline tasks and in mappings of its
// own beyond, doubled as it fills, so that a pool works below malloc. Not
// thread-safe.
#ifndef TASKMEM_ACCOUNTING_POOLS_TASK_TABLE_H_
#define TASKMEM_ACCOUNTING_POOLS_TASK_TABLE_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

struct TaskEntry {
  int64_t task = 0;
  int64_t bytes = 0;      // granted (EXEC-1)
  int64_t overdrawn = 0;  // held beyond what the pool could grant
  bool is_taken = false;
  bool is_active = false;  // counts in N
};

class TaskTable {
 public:
  constexpr TaskTable() = default;
  ~TaskTable();
  TaskTable(const TaskTable&) = delete;
  TaskTable& operator=(const TaskTable&) = delete;

  TaskEntry* Find(int64_t task) {
    TaskEntry* entry = Slot(task);
    return entry->is_taken ? entry : nullptr;
  }
  const TaskEntry* Find(int64_t task) const { return const_cast<TaskTable*>(this)->Find(task); }

  // The task must not be in the table. nullptr: no memory. Moves other entries.
  TaskEntry* Insert(int64_t task);

  // Moves other entries.
  void Erase(TaskEntry* entry);

  void Clear();

  uint32_t size() const { return size_; }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (uint32_t i = 0; i < capacity_; ++i) {
      if (entries()[i].is_taken) visit(entries()[i]);
    }
  }

 private:
  static constexpr uint32_t kInline = 16;

  const TaskEntry* entries() const { return mapped_ != nullptr ? mapped_ : inline_; }
  TaskEntry* entries() { return mapped_ != nullptr ? mapped_ : inline_; }

  uint32_t Home(int64_t task) const {
    return static_cast<uint32_t>((static_cast<uint64_t>(task) * 0x9e3779b97f4a7c15u) >> 32) &
           (capacity_ - 1);
  }

  // Where the task is, or the free entry where it would be put.
  TaskEntry* Slot(int64_t task) {
    uint32_t at = Home(task);
    while (entries()[at].is_taken && entries()[at].task != task) at = (at + 1) & (capacity_ - 1);
    return &entries()[at];
  }

  bool Grow();

  TaskEntry inline_[kInline];
  TaskEntry* mapped_ = nullptr;
  uint32_t capacity_ = kInline;  // a power of two
  uint32_t size_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_TASK_TABLE_H_
