#include "spill/memory/unroll_memory.h"

#include <algorithm>

namespace taskmem {

bool UnrollMemory::Add(int64_t task, int64_t bytes, MemoryMode mode) {
  const MutexLock lock(mutex_);
  TaskTable& tasks = tasks_[IndexOf(mode)];
  TaskEntry* entry = tasks.Find(task);
  if (entry == nullptr) entry = tasks.Insert(task);
  if (entry == nullptr) return false;
  entry->bytes += bytes;
  total_[IndexOf(mode)] += bytes;
  return true;
}

int64_t UnrollMemory::Take(int64_t task, int64_t bytes, MemoryMode mode) {
  const MutexLock lock(mutex_);
  TaskTable& tasks = tasks_[IndexOf(mode)];
  TaskEntry* const entry = tasks.Find(task);
  if (entry == nullptr) return 0;
  const int64_t taken = std::max<int64_t>(0, std::min(bytes, entry->bytes));
  entry->bytes -= taken;
  total_[IndexOf(mode)] -= taken;
  if (entry->bytes == 0) tasks.Erase(entry);
  return taken;
}

int64_t UnrollMemory::Clear(MemoryMode mode) {
  const MutexLock lock(mutex_);
  const int64_t total = total_[IndexOf(mode)];
  tasks_[IndexOf(mode)].Clear();
  total_[IndexOf(mode)] = 0;
  return total;
}

int64_t UnrollMemory::Of(int64_t task, MemoryMode mode) const {
  const MutexLock lock(mutex_);
  const TaskEntry* const entry = tasks_[IndexOf(mode)].Find(task);
  return entry != nullptr ? entry->bytes : 0;
}

int64_t UnrollMemory::OfTask(int64_t task) const {
  return Of(task, MemoryMode::kOnHeap) + Of(task, MemoryMode::kOffHeap);
}

int64_t UnrollMemory::Total() const {
  const MutexLock lock(mutex_);
  return total_[0] + total_[1];
}

int64_t UnrollMemory::Tasks() const {
  const MutexLock lock(mutex_);
  int64_t tasks = tasks_[0].size();
  tasks_[1].ForEach([this, &tasks](const TaskEntry& entry) {
    if (tasks_[0].Find(entry.task) == nullptr) ++tasks;
  });
  return tasks;
}

}  // namespace taskmem
