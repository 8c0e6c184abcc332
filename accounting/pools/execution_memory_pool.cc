#include "accounting/pools/execution_memory_pool.h"

#include <algorithm>

namespace taskmem {

int64_t ExecutionMemoryPool::UsageOf(int64_t task) const {
  const TaskEntry* entry = tasks_.Find(task);
  return entry != nullptr ? entry->bytes + entry->overdrawn : 0;
}

int64_t ExecutionMemoryPool::OverdrawnBy(int64_t task) const {
  const TaskEntry* entry = tasks_.Find(task);
  return entry != nullptr ? entry->overdrawn : 0;
}

bool ExecutionMemoryPool::Register(int64_t task, bool* inserted) {
  TaskEntry* entry = tasks_.Find(task);
  *inserted = entry == nullptr || !entry->is_active;
  if (!*inserted) return true;
  if (entry == nullptr) entry = tasks_.Insert(task);
  if (entry == nullptr) return false;
  entry->is_active = true;
  ++active_tasks_;
  retired_ -= entry->bytes;
  return true;
}

int64_t ExecutionMemoryPool::LackOfOthers(int64_t task, int64_t minimum) const {
  int64_t lack = 0;
  tasks_.ForEach([&](const TaskEntry& entry) {
    if (!entry.is_active || entry.task == task) return;
    lack += std::max<int64_t>(0, minimum - entry.bytes - entry.overdrawn);
  });
  return lack;
}

int64_t ExecutionMemoryPool::Headroom(int64_t task, const GrantLimits& limits) const {
  // What the task has overdrawn is a part of its usage, and not of the memory that it may have.
  const int64_t most = limits.max_pool_bytes + OverdrawnBy(task);
  const int64_t cap = limits.divide ? most / active_tasks_ : most;
  return std::max<int64_t>(0, cap - UsageOf(task));
}

ExecutionMemoryPool::Decision ExecutionMemoryPool::Decide(int64_t task, int64_t bytes,
                                                          const GrantLimits& limits) const {
  const int64_t minimum = limits.min_pool_bytes / (2 * active_tasks_);
  int64_t free = limits.free_bytes;
  // Less than half of the whole is ever kept: where more than that remains nobody is looked at.
  if (limits.keeps_shares && active_tasks_ > 1 && free - bytes < limits.min_pool_bytes / 2) {
    free = std::max<int64_t>(0, free - LackOfOthers(task, minimum));
  }
  const int64_t grant = std::min({bytes, Headroom(task, limits), free});
  return {grant, grant < bytes && UsageOf(task) + grant < minimum};
}

void ExecutionMemoryPool::Grant(int64_t task, int64_t bytes) {
  tasks_.Find(task)->bytes += bytes;
  used_ += bytes;
}

void ExecutionMemoryPool::Overdraw(int64_t task, int64_t bytes) {
  tasks_.Find(task)->overdrawn += bytes;
  overdrawn_ += bytes;
}

int64_t ExecutionMemoryPool::Release(int64_t task, int64_t bytes) {
  TaskEntry* entry = tasks_.Find(task);
  if (entry == nullptr) return 0;
  const int64_t repaid = std::min(bytes, entry->overdrawn);
  entry->overdrawn -= repaid;
  overdrawn_ -= repaid;
  const int64_t released = std::min(bytes - repaid, entry->bytes);
  entry->bytes -= released;
  used_ -= released;
  if (!entry->is_active) retired_ -= released;
  if (entry->bytes == 0 && entry->overdrawn == 0) Remove(entry);
  return repaid + released;
}

void ExecutionMemoryPool::Retire(int64_t task) {
  TaskEntry* entry = tasks_.Find(task);
  if (entry == nullptr) return;
  if (entry->bytes == 0 && entry->overdrawn == 0) {
    Remove(entry);
  } else if (entry->is_active) {
    entry->is_active = false;
    --active_tasks_;
    retired_ += entry->bytes;
  }
}

void ExecutionMemoryPool::Remove(TaskEntry* entry) {
  if (entry->is_active) --active_tasks_;
  tasks_.Erase(entry);
}

void ExecutionMemoryPool::Clear() {
  tasks_.Clear();
  used_ = 0;
  active_tasks_ = 0;
  overdrawn_ = 0;
  retired_ = 0;
}

}  // namespace taskmem
