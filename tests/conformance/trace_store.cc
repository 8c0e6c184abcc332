#include "tests/conformance/trace_store.h"

#include <utility>

#include "tests/conformance/step_run.h"
#include "tests/conformance/trace.h"

namespace taskmem::conformance {
namespace {

MemoryStore::Options OptionsFor(const Json& cfg) {
  MemoryStore::Options options;
  options.unroll_threshold_bytes = cfg.value("unroll_threshold", options.unroll_threshold_bytes);
  options.unroll_check_period = cfg.value("unroll_period", options.unroll_check_period);
  options.unroll_growth_factor = cfg.value("unroll_growth", options.unroll_growth_factor);
  return options;
}

Json UnrollKeys(const MemoryStore& store, MemoryMode mode) {
  Json keys = Json::object();
  store.unroll_memory().ForEach(
      mode, [&keys](const TaskEntry& entry) { keys[std::to_string(entry.task)] = entry.bytes; });
  return keys;
}

}  // namespace

TraceStore::TraceStore(const Json& cfg, UnifiedMemoryManager& pools)
    : infos({.compatibility = Compatibility::kSpark, .manager = &pools}),
      store(pools, infos, *this, OptionsFor(cfg)) {}

TraceStore::~TraceStore() { partials_.clear(); }

StoreResult<StorageLevel> TraceStore::DropFromMemory(MemoryStore& dropping, const BlockId& id,
                                                     BlockData data, int64_t writer) {
  StepRun& run = *StepRun::Current();
  const std::string name(id.name());
  BlockInfo info = {};
  if (!infos.Get(id, &info) || info.writer != writer) {
    return StoreError(StoreErrorCode::kDropFailed, "not locked by the eviction");
  }
  bool goes_to_disk = false;
  bool is_on_disk = false;
  {
    const std::lock_guard lock(mutex_);
    if (drops_until_failure_ && (*drops_until_failure_)-- == 0) {
      drops_until_failure_.reset();
      run.Add({{"drop_failed", name}});
      return StoreError(StoreErrorCode::kDropFailed, "drop failed");
    }
    if (info.level.use_disk()) goes_to_disk = disk_.insert(name).second;
    is_on_disk = disk_.contains(name);
  }
  run.Add({{"drop", name}, {"size", data.size()}, {"to_disk", goes_to_disk}});
  data.Reset();
  dropping.Remove(id);
  return is_on_disk ? StorageLevel::DiskOnly() : StorageLevel::None();
}

void TraceStore::FailDrop(int64_t index) {
  const std::lock_guard lock(mutex_);
  drops_until_failure_ = index;
}

void TraceStore::AddToDisk(const BlockId& id) {
  const std::lock_guard lock(mutex_);
  disk_.emplace(id.name());
}

void TraceStore::RemoveFromDisk(const BlockId& id) {
  const std::lock_guard lock(mutex_);
  disk_.erase(std::string(id.name()));
}

void TraceStore::Clear() {
  store.Clear();
  infos.Clear();
  const std::lock_guard lock(mutex_);
  disk_.clear();
}

void TraceStore::AddPartial(int64_t name, std::unique_ptr<TracePartial> partial) {
  const std::lock_guard lock(mutex_);
  if (!partials_.try_emplace(name, std::move(partial)).second) {
    throw TraceError("partial " + std::to_string(name) + " exists");
  }
}

NativeValues& TraceStore::AddCloser(int64_t bytes_each, int64_t fails_at) {
  const std::lock_guard lock(mutex_);
  return closers_.emplace_back(native_bytes, bytes_each, fails_at);
}

TracePartial& TraceStore::Partial(int64_t name) {
  const std::lock_guard lock(mutex_);
  const auto partial = partials_.find(name);
  if (partial == partials_.end()) throw TraceError("no partial " + std::to_string(name));
  return *partial->second;
}

void TraceStore::AddState(Json& state) {
  state["unroll_on"] = UnrollKeys(store, MemoryMode::kOnHeap);
  state["unroll_off"] = UnrollKeys(store, MemoryMode::kOffHeap);
  store.ForEachEntry([&state](const MemoryEntry& entry) {
    state["blocks"].push_back({entry.id.name(), entry.size,
                               entry.mode == MemoryMode::kOnHeap ? "on" : "off",
                               entry.is_serialized ? "B" : "V"});
  });
  state["infos"] = infos.size();
  infos.ForEach([&state](const BlockInfo& info) {
    if (info.writer == BlockInfoManager::kNoWriter && info.readers == 0) return;
    state["locks"][std::string(info.id.name())] = {info.writer, info.readers};
  });
  const std::lock_guard lock(mutex_);
  state["disk"] = disk_;
}

}  // namespace taskmem::conformance
