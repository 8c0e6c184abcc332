// How blocks are pinned, and come back from disk (BLK-3).
#include <utility>

#include "spill/blocks/block_manager.h"

namespace taskmem {

// Bytes of a block on disk, for memory of its own.
class BlockManager::DiskSupplier final : public BytesSupplier {
 public:
  DiskSupplier(BlockManager& blocks, const BlockId& id, int64_t size)
      : blocks_(blocks), id_(id), size_(size) {}

  StoreResult<ChunkedBytes> Supply() override {
    StoreResult<ChunkedBytes> read = blocks_.ReadFromDisk(id_, size_);
    error_ = read.error();
    return read;
  }
  const StoreError& error() const { return error_; }

 private:
  BlockManager& blocks_;
  const BlockId& id_;
  const int64_t size_;
  StoreError error_;
};

StoreError BlockManager::Get(const BlockId& id, int64_t task, const LockWait& wait, BlockPin* pin) {
  StoreResult<LockOutcome> locked = infos_.LockForReading(id, task, wait);
  if (locked.error().code == StoreErrorCode::kTaskNotRegistered) {
    if (const StoreError error = Register(task)) return error;
    locked = infos_.LockForReading(id, task, wait);
  }
  if (!locked.ok()) return locked.error();
  if (*locked == LockOutcome::kBusy) return StoreError(StoreErrorCode::kTimedOut, task);
  if (*locked == LockOutcome::kAbsent) return {};
  pin->data_ = memory_.GetEither(id);
  if (!pin->data_) {
    if (const StoreError error = ReadBack(id, task, pin)) return error;
  }
  pin->manager_ = this;
  pin->task_ = task;
  return {};
}

// The data of a block that is locked for `pin` and not in memory. Unlocks it where that fails.
StoreError BlockManager::ReadBack(const BlockId& id, int64_t task, BlockPin* pin) {
  const int64_t size = options_.disk != nullptr ? options_.disk->Size(id.name()) : -1;
  if (size < 0) return NoteLost(id, task, StoreError(StoreErrorCode::kLost));
  BlockInfo info = {};
  infos_.Get(id, &info);
  StoreError error;
  if (info.level.use_memory()) {
    DiskSupplier supplier(*this, id, size);
    // Whatever it says: another thread may have been faster, or there is no room.
    const StoreResult<bool> stored = memory_.PutBytes(id, size, info.level.memory_mode(), supplier);
    pin->data_ = memory_.GetEither(id);
    if (pin->data_) return {};
    error = supplier.error();
    if (!stored.ok() && !error && stored.error().code != StoreErrorCode::kMemory) {
      error = stored.error();
    }
  }
  if (!error) {
    StoreResult<ChunkedBytes> read = ReadFromDisk(id, size);
    error = read.error();
    if (!error) pin->data_ = memory_.Detached(id, std::move(*read));
    if (!error && !pin->data_) error = StoreError(StoreErrorCode::kNoMemory);
  }
  if (!error) return {};
  if (error.code == StoreErrorCode::kLost) return NoteLost(id, task, error);
  infos_.Unlock(id, task);
  return error;
}

StoreResult<ChunkedBytes> BlockManager::ReadFromDisk(const BlockId& id, int64_t size) {
  const MemorySource& source = options_.memory.data_source;
  char* const memory =
      static_cast<char*>(source.allocate(size > 0 ? static_cast<size_t>(size) : 1, source.context));
  if (memory == nullptr) return StoreErrorCode::kNoMemory;
  const ChunkedBytes::Release release = {[](char* bytes, int64_t, void* context) {
                                           const auto* const from =
                                               static_cast<const MemorySource*>(context);
                                           from->free(bytes, from->context);
                                         },
                                         const_cast<MemorySource*>(&source)};
  const DiskError error = options_.disk->Get(id.name(), memory, size);
  ChunkedBytes bytes;
  if (error || !ChunkedBytes::Adopt(memory, size, release, options_.memory.source, &bytes)) {
    source.free(memory, source.context);
    if (!error) return StoreErrorCode::kNoMemory;
    const bool is_lost = error.code == DiskErrorCode::kLost ||
                         error.code == DiskErrorCode::kNotFound ||
                         error.code == DiskErrorCode::kWrongSize;
    return StoreError(is_lost ? StoreErrorCode::kLost : StoreErrorCode::kDisk, error);
  }
  if (options_.observer != nullptr) options_.observer->BlockRead(id, size);
  return bytes;
}

// Forgets a block that is registered and nowhere, if nobody has it locked. False: somebody has,
// or it is somewhere.
bool BlockManager::ForgetIfLost(const BlockId& id, int64_t task) {
  if (Contains(id)) return false;
  const StoreResult<LockOutcome> locked = infos_.LockForWriting(id, task, LockWait::None());
  if (!locked.ok() || *locked != LockOutcome::kLocked) return false;
  const bool is_lost = !Contains(id);
  if (is_lost) {
    infos_.RemoveBlock(id, task);
  } else {
    infos_.Unlock(id, task);
  }
  return is_lost;
}

// A block that `task` has locked for reading is nowhere.
StoreError BlockManager::NoteLost(const BlockId& id, int64_t task, const StoreError& error) {
  char why[256];
  Describe(error, id.name(), why, sizeof(why));
  LogLine(log(), LogLevel::kWarn, "%s", why);
  if (options_.disk != nullptr) options_.disk->Remove(id.name());
  infos_.Unlock(id, task);
  // Others may find it out at the same time: the last of them, or the next put, succeeds.
  ForgetIfLost(id, task);
  if (options_.observer != nullptr) options_.observer->BlockLost(id, error);
  return error;
}

}  // namespace taskmem
