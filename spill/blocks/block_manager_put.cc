// How blocks are put (BLK-2).
#include <utility>

#include "spill/blocks/block_manager.h"

namespace taskmem {

// A put on its way: registers the block, and unlocks it or forgets it in the end.
class BlockManager::Put {
 public:
  Put(BlockManager& blocks, const BlockPut& put) : blocks_(blocks), put_(put) {}
  ~Put() {
    if (!is_open_) return;
    if (is_stored_) {
      blocks_.infos_.Unlock(*put_.id, put_.task);
    } else {
      blocks_.Forget(*put_.id, put_.task);
    }
  }
  Put(const Put&) = delete;
  Put& operator=(const Put&) = delete;

  StoreResult<PutAnswer> Open() {
    if (put_.id == nullptr || !put_.level.IsValid()) return StoreErrorCode::kInvalidArgument;
    if (!blocks_.Reachable(put_.level).IsValid()) return StoreErrorCode::kNoDisk;
    if (const StoreError error = blocks_.Register(put_.task)) return error;
    do {
      const StoreResult<bool> is_new = blocks_.infos_.LockNewBlockForWriting(
          *put_.id, put_.level, put_.task, /*keep_read_lock=*/false);
      if (!is_new.ok()) return is_new.error();
      is_open_ = *is_new;
    } while (!is_open_ && blocks_.ForgetIfLost(*put_.id, put_.task));
    if (is_open_) return PutAnswer::kStored;
    LogLine(blocks_.log(), LogLevel::kWarn,
            "Block %s already exists on this machine; not re-adding it", put_.id->c_str());
    return PutAnswer::kExists;
  }

  StoreResult<PutAnswer> Close(StoreResult<PutAnswer> answer) {
    is_stored_ = answer.ok() && *answer == PutAnswer::kStored;
    // In a child that this thread has forked meanwhile the block is not registered.
    if (is_stored_ && blocks_.infos_.AssertBlockIsLockedForWriting(*put_.id, put_.task)) {
      const StoreResult<bool> is_new = blocks_.infos_.LockNewBlockForWriting(
          *put_.id, put_.level, put_.task, /*keep_read_lock=*/false);
      is_stored_ = is_new.ok() && *is_new;
      if (!is_stored_) answer = is_new.ok() ? StoreErrorCode::kAlreadyPresent : is_new.error().code;
    }
    if (is_stored_) return answer;
    if (answer.ok()) {
      LogLine(blocks_.log(), LogLevel::kWarn, "Putting block %s failed", put_.id->c_str());
    } else {
      char why[256];
      Describe(answer.error(), put_.id->name(), why, sizeof(why));
      LogLine(blocks_.log(), LogLevel::kWarn, "Putting block %s failed due to exception %s.",
              put_.id->c_str(), why);
    }
    return answer;
  }

 private:
  BlockManager& blocks_;
  const BlockPut& put_;
  bool is_open_ = false;
  bool is_stored_ = false;
};

void BlockManager::LogPersisting(const BlockId& id) const {
  LogLine(log(), LogLevel::kWarn, "Persisting block %s to disk instead.", id.c_str());
}

StoreError BlockManager::NoteWritten(const BlockId& id, int64_t size, const DiskError& error) {
  if (error) return StoreError(StoreErrorCode::kDisk, error);
  if (options_.observer != nullptr) options_.observer->BlockWritten(id, size);
  return {};
}

StoreError BlockManager::WriteToDisk(const BlockId& id, const ChunkedBytes& bytes) {
  ChunkReader reader(bytes);
  return NoteWritten(id, bytes.size(), options_.disk->Put(id.name(), bytes.size(), reader));
}

StoreError BlockManager::WriteToDisk(const BlockId& id, const char* bytes, int64_t size) {
  return NoteWritten(id, size, options_.disk->Put(id.name(), bytes, size));
}

StoreResult<PutAnswer> BlockManager::PutBytes(const BlockPut& put, int64_t size,
                                              BytesSupplier& supplier) {
  if (size < 0) return StoreErrorCode::kInvalidArgument;
  Put open(*this, put);
  const StoreResult<PutAnswer> answer = open.Open();
  if (!answer.ok() || *answer != PutAnswer::kStored) return answer;
  return open.Close(StoreBytes(put, size, supplier));
}

StoreResult<PutAnswer> BlockManager::StoreBytes(const BlockPut& put, int64_t size,
                                                BytesSupplier& supplier) {
  const StorageLevel level = Reachable(put.level);
  if (level.use_memory()) {
    const StoreResult<bool> stored = memory_.PutBytes(*put.id, size, level.memory_mode(), supplier);
    if (!stored.ok()) return stored.error();
    if (*stored) return PutAnswer::kStored;
    if (!level.use_disk()) return PutAnswer::kNoRoom;
    LogPersisting(*put.id);
  }
  StoreError error;
  if (const char* const bytes = supplier.InPlace(); bytes != nullptr) {
    error = WriteToDisk(*put.id, bytes, size);
  } else {
    const StoreResult<ChunkedBytes> supplied = supplier.Supply();
    if (!supplied.ok()) return supplied.error();
    if (supplied->size() != size) {
      return StoreError(StoreErrorCode::kSupplierFailed, "bytes of another size");
    }
    error = WriteToDisk(*put.id, *supplied);
  }
  if (error) return error;
  return PutAnswer::kStored;
}

StoreResult<PutAnswer> BlockManager::PutValue(const BlockPut& put, int64_t size, void* value,
                                              ValueCloser* closer) {
  if (size < 0) return StoreErrorCode::kInvalidArgument;
  Put open(*this, put);
  const StoreResult<PutAnswer> answer = open.Open();
  if (!answer.ok() || *answer != PutAnswer::kStored) return answer;
  return open.Close(StoreValue(put, size, value, closer));
}

StoreResult<PutAnswer> BlockManager::StoreValue(const BlockPut& put, int64_t size, void* value,
                                                ValueCloser* closer) {
  const StorageLevel level = Reachable(put.level);
  const bool can_serialize = closer != nullptr && closer->CanSerialize();
  if (level.use_memory()) {
    const StoreResult<bool> stored =
        memory_.PutValue(*put.id, size, level.memory_mode(), value, closer);
    if (!stored.ok()) return stored.error();
    if (*stored) return PutAnswer::kStored;
    if (!level.use_disk() || !can_serialize) return PutAnswer::kNoRoom;
    LogPersisting(*put.id);
  }
  if (!can_serialize) return StoreErrorCode::kSerializerFailed;
  {
    ChunkedBytes serialized = NewBytes();
    if (!closer->Serialize(&value, 1, serialized)) return StoreErrorCode::kSerializerFailed;
    if (const StoreError error = WriteToDisk(*put.id, serialized)) return error;
  }
  if (!closer->Close(value)) LogLine(log(), LogLevel::kWarn, "Fail to close a memory entry");
  return PutAnswer::kStored;
}

StoreResult<PutAnswer> BlockManager::PutIterator(const BlockPut& put, const IteratorParts& parts,
                                                 PartiallyUnrolledIterator* rest) {
  const StorageLevel level = Reachable(put.level);
  const bool as_values = level.use_memory() && level.deserialized();
  if (parts.values == nullptr || (as_values && parts.sizes == nullptr) ||
      ((!as_values || level.use_disk()) && parts.serializer == nullptr)) {
    return StoreErrorCode::kInvalidArgument;
  }
  Put open(*this, put);
  const StoreResult<PutAnswer> answer = open.Open();
  if (!answer.ok() || *answer != PutAnswer::kStored) return answer;
  return open.Close(StoreIterator(put, parts, rest));
}

StoreResult<PutAnswer> BlockManager::StoreIterator(const BlockPut& put, const IteratorParts& parts,
                                                   PartiallyUnrolledIterator* rest) {
  const StorageLevel level = Reachable(put.level);
  const bool is_task = put.task != BlockInfoManager::kNonTaskWriter;
  const PutValues values = {.id = put.id,
                            .mode = level.memory_mode(),
                            .task = is_task ? put.task : MemoryStore::kNoTask,
                            .values = parts.values,
                            .cancellation = put.cancellation};
  ChunkedBytes serialized = NewBytes();
  StoreError error;
  if (!level.use_memory()) {
    while (!error && parts.values->HasNext()) {
      if (!parts.serializer->Write(parts.values->Next(), serialized)) {
        error = StoreError(StoreErrorCode::kSerializerFailed);
      }
    }
    if (parts.values->has_failed()) error = StoreError(StoreErrorCode::kIteratorFailed);
    if (!parts.serializer->Close(serialized) && !error) {
      error = StoreError(StoreErrorCode::kSerializerFailed);
    }
  } else if (level.deserialized()) {
    const StoreResult<PutOutcome> outcome =
        memory_.PutIteratorAsValues(values, parts.closer, *parts.sizes, rest);
    if (!outcome.ok()) return outcome.error();
    if (outcome->is_stored) return PutAnswer::kStored;
    if (!level.use_disk()) return PutAnswer::kNoRoom;
    LogPersisting(*put.id);
    error = SerializeRest(values.task, *parts.serializer, *rest, serialized);
  } else {
    PartiallySerializedBlock partial;
    const StoreResult<PutOutcome> outcome =
        memory_.PutIteratorAsBytes(values, *parts.serializer, &partial);
    if (!outcome.ok()) return outcome.error();
    if (outcome->is_stored) return PutAnswer::kStored;
    if (!level.use_disk()) {
      if (const StoreError failed = partial.ValuesIterator(values.task, rest)) return failed;
      return PutAnswer::kNoRoom;
    }
    LogPersisting(*put.id);
    error = partial.FinishWritingToStream(values.task, serialized).error();
  }
  if (!error) error = WriteToDisk(*put.id, serialized);
  if (error) return error;
  return PutAnswer::kStored;
}

// All values of a put that did not fit, to `sink`.
StoreError BlockManager::SerializeRest(int64_t task, ValueSerializer& serializer,
                                       PartiallyUnrolledIterator& rest, ByteSink& sink) {
  StoreError error;
  while (!error && rest.HasNext(task)) {
    if (!serializer.Write(rest.Next(), sink)) error = StoreError(StoreErrorCode::kSerializerFailed);
  }
  if (!error && rest.has_failed()) error = StoreError(StoreErrorCode::kIteratorFailed);
  if (!serializer.Close(sink) && !error) error = StoreError(StoreErrorCode::kSerializerFailed);
  if (error) rest.Close(task);
  return error;
}

}  // namespace taskmem
