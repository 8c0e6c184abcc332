// Operations of UnifiedMemoryManager.
#include <string>

#include "tests/conformance/steps.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

int64_t Bytes(const Json& in) { return in.value("bytes", int64_t{0}); }
int64_t TaskId(const Json& in) { return in.value("task", int64_t{0}); }
MemoryMode Mode(const Json& in) { return ModeOf(in.at("mode")); }

Outcome AcquireExecution(World& world, StepRun& run, const Json& in) {
  const ExecutionRequest request = {
      .bytes = Bytes(in), .task = TaskId(in), .mode = Mode(in), .cancellation = run.cancellation};
  return AnswerOrFailure(world.pools.AcquireExecutionMemory(request), Caller::kManager);
}

Outcome ReleaseExecution(World& world, StepRun&, const Json& in) {
  world.pools.ReleaseExecutionMemory(Bytes(in), TaskId(in), Mode(in));
  return {};
}

Outcome ReleaseAllExecution(World& world, StepRun&, const Json& in) {
  world.GiveUpTask(TaskId(in));
  return Answer(world.pools.ReleaseAllExecutionMemoryForTask(TaskId(in)));
}

Outcome AcquireStorage(World& world, StepRun&, const Json& in) {
  const std::string block = in.at("block").get<std::string>();
  return AnswerOrFailure(world.pools.AcquireStorageMemory(block, Bytes(in), Mode(in)),
                         Caller::kManager);
}

Outcome AcquireUnroll(World& world, StepRun&, const Json& in) {
  const std::string block = in.at("block").get<std::string>();
  return AnswerOrFailure(world.pools.AcquireUnrollMemory(block, Bytes(in), Mode(in)),
                         Caller::kManager);
}

Outcome ReleaseStorage(World& world, StepRun&, const Json& in) {
  world.pools.ReleaseStorageMemory(Bytes(in), Mode(in));
  return {};
}

Outcome ReleaseUnroll(World& world, StepRun&, const Json& in) {
  world.pools.ReleaseUnrollMemory(Bytes(in), Mode(in));
  return {};
}

Outcome ReleaseAllStorage(World& world, StepRun&, const Json&) {
  world.pools.ReleaseAllStorageMemory();
  return {};
}

Outcome TaskEnd(World& world, StepRun&, const Json& in) {
  world.EndTask(TaskId(in));
  world.blocks.store.ReleaseAllUnrollMemoryForTask(TaskId(in));
  world.pools.EndTask(TaskId(in));
  return {};
}

Outcome Query(World& world, StepRun&, const Json& in) {
  const UnifiedMemoryManager& pools = world.pools;
  Json task_usage = Json::array();
  for (const Json& task : in.value("tasks", Json::array())) {
    task_usage.push_back(pools.GetExecutionMemoryUsageForTask(task.get<int64_t>()));
  }
  constexpr MemoryMode kOn = MemoryMode::kOnHeap;
  constexpr MemoryMode kOff = MemoryMode::kOffHeap;
  return Answer({{"execution_used", pools.ExecutionMemoryUsed()},
                 {"storage_used", pools.StorageMemoryUsed()},
                 {"on_heap_execution_used", pools.ExecutionMemoryUsed(kOn)},
                 {"off_heap_execution_used", pools.ExecutionMemoryUsed(kOff)},
                 {"on_heap_storage_used", pools.StorageMemoryUsed(kOn)},
                 {"off_heap_storage_used", pools.StorageMemoryUsed(kOff)},
                 {"max_on_heap_storage", pools.MaxStorageMemory(kOn)},
                 {"max_off_heap_storage", pools.MaxStorageMemory(kOff)},
                 {"task_usage", task_usage},
                 {"current_unroll", world.blocks.store.unroll_memory().Total()},
                 {"page_size", pools.page_size_bytes()}});
}

}  // namespace

const Operations& ManagerOperations() {
  static const Operations kOperations = {
      {"acquire_execution", AcquireExecution},
      {"acquire_storage", AcquireStorage},
      {"acquire_unroll", AcquireUnroll},
      {"query", Query},
      {"release_all_execution", ReleaseAllExecution},
      {"release_all_storage", ReleaseAllStorage},
      {"release_execution", ReleaseExecution},
      {"release_storage", ReleaseStorage},
      {"release_unroll", ReleaseUnroll},
      {"task_end", TaskEnd},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
