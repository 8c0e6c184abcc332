#include "spill/blocks/block_manager.h"

#include <utility>

namespace taskmem {

void BlockPin::Reset() {
  BlockManager* const manager = std::exchange(manager_, nullptr);
  if (manager == nullptr) return;
  manager->Release(data_.id(), task_);
  data_.Reset();
}

BlockManager::BlockManager(UnifiedMemoryManager& manager, const Options& options)
    : manager_(manager),
      options_(options),
      infos_({.compatibility = manager.compatibility(),
              .manager = &manager,
              .source = options.memory.source}),
      memory_(manager, infos_, *this, options.memory) {}

StoreError BlockManager::Register(int64_t task) {
  return task == BlockInfoManager::kNonTaskWriter ? StoreError() : infos_.RegisterTask(task);
}

// What there is of a level.
StorageLevel BlockManager::Reachable(const StorageLevel& level) const {
  if (options_.disk != nullptr) return level;
  StorageLevel reachable = level;
  StorageLevel::Make(level.flags() & ~StorageLevel::kDiskFlag, level.replication(), &reachable);
  return reachable;
}

ChunkedBytes BlockManager::NewBytes() const {
  constexpr int64_t kChunkBytes = int64_t{256} << 10;
  return ChunkedBytes(options_.memory.data_source, kChunkBytes);
}

void BlockManager::Release(const BlockId& id, int64_t task) { infos_.Unlock(id, task); }

// Removes a block that `writer` has locked.
void BlockManager::Forget(const BlockId& id, int64_t writer) {
  memory_.Remove(id);
  if (options_.disk != nullptr) options_.disk->Remove(id.name());
  infos_.RemoveBlock(id, writer);
}

StoreResult<LockOutcome> BlockManager::Remove(const BlockId& id, int64_t task,
                                              const LockWait& wait) {
  LogLine(log(), LogLevel::kDebug, "Removing block %s", id.c_str());
  if (const StoreError error = Register(task)) return error;
  for (;;) {
    const StoreResult<LockOutcome> locked = infos_.LockForWriting(id, task, LockWait::None());
    if (!locked.ok()) return locked;
    if (*locked == LockOutcome::kLocked) break;
    BlockInfo info = {};
    if (*locked == LockOutcome::kAbsent || !infos_.Get(id, &info)) {
      LogLine(log(), LogLevel::kWarn, "Asked to remove block %s, which does not exist", id.c_str());
      return LockOutcome::kAbsent;
    }
    if (info.readers > 0) return LockOutcome::kBusy;
    // Nobody uses it: it is being put or dropped, and that ends.
    const StoreResult<LockOutcome> ended = infos_.LockForReading(id, task, wait);
    if (!ended.ok() || *ended == LockOutcome::kBusy) return ended;
    if (*ended == LockOutcome::kLocked) infos_.Unlock(id, task);
  }
  const bool was_in_memory = memory_.Remove(id);
  const bool was_on_disk = options_.disk != nullptr && options_.disk->Remove(id.name());
  if (!was_in_memory && !was_on_disk) {
    LogLine(log(), LogLevel::kWarn,
            "Block %s could not be removed as it was not found on disk or in memory", id.c_str());
  }
  infos_.RemoveBlock(id, task);
  return LockOutcome::kLocked;
}

bool BlockManager::Contains(const BlockId& id) const {
  return memory_.Contains(id) || (options_.disk != nullptr && options_.disk->Contains(id.name()));
}

bool BlockManager::GetStatus(const BlockId& id, BlockStatus* status) const {
  BlockInfo info = {};
  if (!infos_.Get(id, &info)) return false;
  *status = {};
  status->level = info.level;
  status->pins = info.readers;
  status->is_in_memory = memory_.PeekSize(id, &status->memory_bytes);
  const int64_t on_disk = options_.disk != nullptr ? options_.disk->Size(id.name()) : -1;
  status->is_on_disk = on_disk >= 0;
  if (status->is_on_disk) status->disk_bytes = on_disk;
  return status->is_in_memory || status->is_on_disk;
}

void BlockManager::Clear() {
  infos_.Clear();
  memory_.Clear();
  if (options_.disk != nullptr) options_.disk->Clear();
}

int64_t BlockManager::ReleaseTask(int64_t task, ReleasedLocks* released) {
  memory_.ReleaseAllUnrollMemoryForTask(task);
  return infos_.ReleaseAllLocksForTask(task, released);
}

StoreResult<StorageLevel> BlockManager::DropFromMemory(MemoryStore& store, const BlockId& id,
                                                       BlockData data, int64_t writer) {
  LogLine(log(), LogLevel::kInfo, "Dropping block %s from memory", id.c_str());
  if (const StoreError error = infos_.AssertBlockIsLockedForWriting(id, writer)) return error;
  BlockInfo info = {};
  infos_.Get(id, &info);
  const int64_t size = data.size();
  bytes_in_flight_.fetch_add(size, std::memory_order_relaxed);
  struct InFlight {
    std::atomic<int64_t>& bytes;
    int64_t size;
    ~InFlight() { bytes.fetch_sub(size, std::memory_order_relaxed); }
  } const in_flight = {bytes_in_flight_, size};

  bool is_on_disk = options_.disk != nullptr && options_.disk->Contains(id.name());
  const bool can_be_written =
      data.is_serialized() || (data.closer() != nullptr && data.closer()->CanSerialize());
  if (Reachable(info.level).use_disk() && !is_on_disk && can_be_written) {
    LogLine(log(), LogLevel::kInfo, "Writing block %s to disk", id.c_str());
    StoreError error;
    if (data.is_serialized()) {
      error = WriteToDisk(id, data.bytes());
    } else {
      ChunkedBytes serialized = NewBytes();
      if (data.closer()->Serialize(data.values(), data.count(), serialized)) {
        error = WriteToDisk(id, serialized);
      } else {
        error = StoreError(StoreErrorCode::kSerializerFailed);
      }
    }
    if (error) {
      char why[256];
      Describe(error, id.name(), why, sizeof(why));
      LogLine(log(), LogLevel::kWarn, "Block %s stays in memory: %s", id.c_str(), why);
      if (options_.observer != nullptr) options_.observer->DropFailed(id, error);
      return StoreError(StoreErrorCode::kDropFailed, why);
    }
    is_on_disk = true;
  }
  data.Reset();
  if (store.Remove(id)) {
    if (options_.observer != nullptr) options_.observer->BlockEvicted(id, size);
  } else {
    LogLine(log(), LogLevel::kWarn,
            "Block %s could not be dropped from memory as it does not exist", id.c_str());
  }
  return is_on_disk ? StorageLevel::DiskOnly() : StorageLevel::None();
}

void BlockManager::AddLocks(ForkLocks* locks) {
  memory_.AddLocks(locks);
  infos_.AddLocks(locks);
}

void BlockManager::ResetInChild(bool is_inside) {
  bytes_in_flight_.store(0, std::memory_order_relaxed);
  memory_.ResetInChild(is_inside);
  infos_.ResetInChild(
      [](const BlockId& id, void* self) { return static_cast<BlockManager*>(self)->Contains(id); },
      this);
}

}  // namespace taskmem
