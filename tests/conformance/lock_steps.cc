// Operations of BlockInfoManager.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/conformance/steps.h"
#include "tests/conformance/store_errors.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

int64_t Locker(const Json& in) { return in.value("ctx", BlockInfoManager::kNonTaskWriter); }

Outcome Done(const StoreError& error, const Json& in) {
  if (!error) return {};
  return {nullptr, SparkStoreError(error, in.value("block", ""))};
}

template <typename T>
Outcome Answered(const StoreResult<T>& result, const T& when_true, const Json& in) {
  return result.ok() ? Answer(*result == when_true) : Done(result.error(), in);
}

LockWait Waiting(StepRun& run) {
  return {.timeout_ns = ExecutionRequest::kForever, .cancellation = run.cancellation};
}

Outcome LockRead(World& world, StepRun&, const Json& in) {
  return Answered(
      world.blocks.infos.LockForReading(BlockIdOf(in.at("block")), Locker(in), LockWait::None()),
      LockOutcome::kLocked, in);
}

Outcome LockReadWait(World& world, StepRun& run, const Json& in) {
  return Answered(
      world.blocks.infos.LockForReading(BlockIdOf(in.at("block")), Locker(in), Waiting(run)),
      LockOutcome::kLocked, in);
}

Outcome LockWrite(World& world, StepRun&, const Json& in) {
  return Answered(
      world.blocks.infos.LockForWriting(BlockIdOf(in.at("block")), Locker(in), LockWait::None()),
      LockOutcome::kLocked, in);
}

Outcome LockWriteWait(World& world, StepRun& run, const Json& in) {
  return Answered(
      world.blocks.infos.LockForWriting(BlockIdOf(in.at("block")), Locker(in), Waiting(run)),
      LockOutcome::kLocked, in);
}

Outcome LockNewWait(World& world, StepRun& run, const Json& in) {
  return Answered(world.blocks.infos.LockNewBlockForWriting(
                      BlockIdOf(in.at("block")), StorageLevel::MemoryOnly(), Locker(in),
                      in.value("keep_read_lock", false), Waiting(run)),
                  true, in);
}

Outcome Unlock(World& world, StepRun&, const Json& in) {
  return Done(world.blocks.infos.Unlock(BlockIdOf(in.at("block")), Locker(in)), in);
}

Outcome Downgrade(World& world, StepRun&, const Json& in) {
  return Done(world.blocks.infos.DowngradeLock(BlockIdOf(in.at("block")), Locker(in)), in);
}

Outcome RemoveInfo(World& world, StepRun&, const Json& in) {
  return Done(world.blocks.infos.RemoveBlock(BlockIdOf(in.at("block")), Locker(in)), in);
}

class Names final : public ReleasedLocks {
 public:
  void Released(const BlockId& id) override { names.emplace_back(id.name()); }

  std::vector<std::string> names;
};

Outcome ReleaseAll(World& world, StepRun&, const Json& in) {
  Names released;
  world.blocks.infos.ReleaseAllLocksForTask(in.value("task", int64_t{0}), &released);
  std::sort(released.names.begin(), released.names.end());
  return Answer(released.names);
}

Outcome TaskStart(World& world, StepRun&, const Json& in) {
  return Done(world.blocks.infos.RegisterTask(in.value("task", int64_t{0})), in);
}

}  // namespace

const Operations& LockOperations() {
  static const Operations kOperations = {
      {"downgrade", Downgrade},          {"lock_new_wait", LockNewWait},
      {"lock_read", LockRead},           {"lock_read_wait", LockReadWait},
      {"lock_write", LockWrite},         {"lock_write_wait", LockWriteWait},
      {"release_all_locks", ReleaseAll}, {"remove_info", RemoveInfo},
      {"task_start", TaskStart},         {"unlock", Unlock},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
