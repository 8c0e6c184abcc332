#include "tests/conformance/evictors.h"

#include <string>
#include <utility>

#include "tests/conformance/step_run.h"
#include "tests/conformance/text.h"
#include "tests/conformance/trace.h"

namespace taskmem::conformance {
namespace {

Json BlockName(const std::string_view* block) {
  return block != nullptr ? Json(std::string(*block)) : Json();
}

Json EvictEvent(const std::string_view* block, int64_t bytes, MemoryMode mode) {
  return {{"evict", BlockName(block)}, {"asked", bytes}, {"mode", NameOf(mode)}};
}

// How often a waiting thread tries is a matter of timing: what came to nothing is left out.
bool IsLeftOut(const StepRun& run, const std::string_view* block, int64_t freed) {
  return block == nullptr && freed == 0 && run.has_waited;
}

// Frees what it is asked for if that much is used in both modes together.
class ExactEvictor final : public TraceEvictor {
 public:
  explicit ExactEvictor(UnifiedMemoryManager& pools) : pools_(pools) {}

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* block, int64_t bytes,
                                         MemoryMode mode) override {
    const int64_t freed = bytes <= pools_.StorageMemoryUsed() ? bytes : 0;
    if (freed > 0) pools_.ReleaseStorageMemory(freed, mode);
    StepRun& run = *StepRun::Current();
    if (!IsLeftOut(run, block, freed)) {
      Json event = EvictEvent(block, bytes, mode);
      event["freed"] = freed;
      run.Add(std::move(event));
    }
    return freed;
  }

 private:
  UnifiedMemoryManager& pools_;
};

class ThrowingEvictor final : public TraceEvictor {
 public:
  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* block, int64_t bytes,
                                         MemoryMode mode) override {
    Json event = EvictEvent(block, bytes, mode);
    event["freed"] = "throws";
    StepRun::Current()->Add(std::move(event));
    return MemoryError(ErrorCode::kEvictionFailed, "bad memory store!");
  }
};

// Does what the store of the recording did.
class ScriptedEvictor final : public TraceEvictor {
 public:
  explicit ScriptedEvictor(UnifiedMemoryManager& pools) : pools_(pools) {}

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* block, int64_t bytes,
                                         MemoryMode mode) override {
    StepRun& run = *StepRun::Current();
    auto& scripts = run.scripted_evictions;
    const bool is_recorded = !scripts.empty() && scripts.front().block == BlockName(block) &&
                             scripts.front().asked == bytes;
    if (!is_recorded && IsLeftOut(run, block, 0)) return int64_t{0};
    run.Add(EvictEvent(block, bytes, mode));
    int64_t freed = 0;
    if (!scripts.empty()) {
      const ScriptedEviction script = std::move(scripts.front());
      scripts.pop_front();
      for (const Json& call : script.calls) {
        if (call.at("call") != "release_storage") throw TraceError("unknown call of an evictor");
        pools_.ReleaseStorageMemory(call.at("bytes").get<int64_t>(), ModeOf(call.at("mode")));
        run.Add(call);
      }
      freed = script.freed;
    }
    run.Add({{"evicted", freed}});
    return freed;
  }

 private:
  UnifiedMemoryManager& pools_;
};

// The real store (MS-15 to MS-18).
class StoreEvictor final : public TraceEvictor {
 public:
  explicit StoreEvictor(BlockEvictor& store) : store_(store) {}

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* block, int64_t bytes,
                                         MemoryMode mode) override {
    StepRun& run = *StepRun::Current();
    run.Add(EvictEvent(block, bytes, mode));
    const Result<int64_t> freed = store_.EvictBlocksToFreeSpace(block, bytes, mode);
    if (freed.ok() && IsLeftOut(run, block, *freed)) {
      run.RemoveLast();  // for execution, the store says nothing when it frees nothing
    } else if (freed.ok()) {
      run.Add({{"evicted", *freed}});
    }
    return freed;
  }

 private:
  BlockEvictor& store_;
};

}  // namespace

std::unique_ptr<TraceEvictor> MakeEvictor(std::string_view name, UnifiedMemoryManager& pools,
                                          BlockEvictor& store) {
  if (name == "exact") return std::make_unique<ExactEvictor>(pools);
  if (name == "throw") return std::make_unique<ThrowingEvictor>();
  if (name == "script") return std::make_unique<ScriptedEvictor>(pools);
  if (name == "store") return std::make_unique<StoreEvictor>(store);
  throw TraceError("unknown evictor \"" + std::string(name) + "\"");
}

}  // namespace taskmem::conformance
