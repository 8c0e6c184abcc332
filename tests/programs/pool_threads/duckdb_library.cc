// As DuckDB has them: an Executor for each query, and ExecutorTasks that a pool of threads does.
#include <cstdint>
#include <memory>

#include "tests/programs/pool_threads/library_pool.h"

namespace duckdb {

class PhysicalOperator {};
enum class TaskExecutionMode : uint8_t { PROCESS_ALL };
enum class TaskExecutionResult : uint8_t { TASK_FINISHED = 7 };

class Executor {
 public:
  void Initialize() {
    PhysicalOperator plan;
    InitializeInternal(plan);
  }
  void InitializeInternal(PhysicalOperator& plan);

 private:
  PhysicalOperator* plan_ = nullptr;
};

void Executor::InitializeInternal(PhysicalOperator& plan) { plan_ = &plan; }

class ExecutorTask {
 public:
  explicit ExecutorTask(Executor& executor) : executor(executor) {}
  virtual ~ExecutorTask() = default;
  virtual TaskExecutionResult Execute(TaskExecutionMode mode);

 protected:
  virtual void ExecuteTask() = 0;
  void* before_[3] = {};
  Executor& executor;
};

TaskExecutionResult ExecutorTask::Execute(TaskExecutionMode) {
  ExecuteTask();
  return TaskExecutionResult::TASK_FINISHED;
}

class UnitTask : public ExecutorTask {
 public:
  UnitTask(Executor& executor, Unit unit) : ExecutorTask(executor), unit_(unit) {}

 private:
  void ExecuteTask() override { unit_.function(unit_.argument); }
  Unit unit_;
};

}  // namespace duckdb

extern "C" void RunQuery(const Unit* units, int count) {
  auto executor = std::make_unique<duckdb::Executor>();
  executor->Initialize();
  Latch latch(count);
  for (int i = 0; i < count; ++i) {
    auto* const task = new duckdb::UnitTask(*executor, units[i]);
    Give([task, &latch] {
      const auto result = task->Execute(duckdb::TaskExecutionMode::PROCESS_ALL);
      if (result != duckdb::TaskExecutionResult::TASK_FINISHED) __builtin_trap();
      delete task;
      latch.CountDown();
    });
  }
  latch.Wait();
}
