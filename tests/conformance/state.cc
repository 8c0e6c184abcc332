// World::State: what the library says after a step.
#include <string>

#include "tests/conformance/text.h"
#include "tests/conformance/world.h"

namespace taskmem::conformance {
namespace {

Json PoolSizes(const UnifiedMemoryManager& pools, MemoryMode mode) {
  const UnifiedMemoryManager::Pools now = pools.GetPools(mode);
  return {now.execution_size, now.execution_used, now.storage_size, now.storage_used};
}

Json ExecutionKeys(const UnifiedMemoryManager& pools, MemoryMode mode) {
  Json keys = Json::object();
  pools.ForEachTask(
      mode, [&](const TaskEntry& entry) { keys[std::to_string(entry.task)] = entry.bytes; });
  return keys;
}

// "0-3,7": the page numbers that are taken.
std::string PageRanges(const TaskMemoryManager& manager) {
  std::string ranges;
  for (int first = 0; first < kPageTableSize; ++first) {
    if (!manager.IsPageNumberTaken(first)) continue;
    int last = first;
    while (last + 1 < kPageTableSize && manager.IsPageNumberTaken(last + 1)) ++last;
    if (!ranges.empty()) ranges += ',';
    ranges += std::to_string(first);
    if (last > first) ranges += '-' + std::to_string(last);
    first = last;
  }
  return ranges;
}

Json TaskState(const TaskMemoryManager& manager) {
  const auto both = [&](int64_t (TaskMemoryManager::*get)(MemoryMode) const) -> Json {
    return {(manager.*get)(MemoryMode::kOnHeap), (manager.*get)(MemoryMode::kOffHeap)};
  };
  return {{"cur", both(&TaskMemoryManager::current_bytes)},
          {"peak", both(&TaskMemoryManager::peak_bytes)},
          {"abnu", manager.acquired_but_not_used_bytes()},
          {"bits", PageRanges(manager)},
          {"live", manager.LivePages()}};
}

}  // namespace

Json World::State() {
  Json state = {{"on", PoolSizes(pools, MemoryMode::kOnHeap)},
                {"exec_on", ExecutionKeys(pools, MemoryMode::kOnHeap)},
                {"exec_off", ExecutionKeys(pools, MemoryMode::kOffHeap)}};
  if (has_off_heap) state["off"] = PoolSizes(pools, MemoryMode::kOffHeap);
  if (is_wild) return state;
  if (polls_unmanaged) {
    state["unm"] = {pools.UnmanagedMemoryUsed(MemoryMode::kOnHeap),
                    pools.UnmanagedMemoryUsed(MemoryMode::kOffHeap)};
  }
  blocks.AddState(state);
  const std::lock_guard lock(mutex_);
  for (const auto& [name, consumer] : consumers_) {
    if (consumer->used() != 0) state["cons"][name] = consumer->used();
  }
  for (const auto& [task, trace_task] : tasks_) {
    state["tmm"][std::to_string(task)] = TaskState(trace_task->manager);
  }
  return state;
}

}  // namespace taskmem::conformance
