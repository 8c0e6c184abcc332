// The blocks of a process, in memory and on disk: Spark's BlockManager, as far as one process
// needs it (BLK-1 to BLK-3).
//
//   put      memory, where the level has it and there is room; else disk, where the level has it
//   evict    to disk, where the level has it and it is not there yet; else it is gone
//   get      from memory, else from disk; then back to memory, where the level has it and
//            there is room
//
// No lock is held while a block is written or read, or a supplier, a serializer, a closer or
// the observer runs: only that block is locked, by BlockInfoManager, against everybody else.
// Without a disk store every level is as if it had no disk.
#ifndef TASKMEM_SPILL_BLOCKS_BLOCK_MANAGER_H_
#define TASKMEM_SPILL_BLOCKS_BLOCK_MANAGER_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/fork_locks.h"
#include "accounting/memory/memory_allocator.h"
#include "accounting/pools/unified_memory_manager.h"
#include "spill/blocks/block_observer.h"
#include "spill/blocks/block_pin.h"
#include "spill/disk/disk_store.h"
#include "spill/locks/block_info_manager.h"
#include "spill/memory/block_eviction_handler.h"
#include "spill/memory/block_values.h"
#include "spill/memory/memory_store.h"
#include "spill/names/storage_level.h"
#include "spill/names/store_error.h"

namespace taskmem {

// What a put names.
struct BlockPut {
  const BlockId* id = nullptr;
  StorageLevel level;
  // Who puts; who has nothing to do with a task is BlockInfoManager::kNonTaskWriter. Tasks
  // need not be registered.
  int64_t task = BlockInfoManager::kNonTaskWriter;
  const Cancellation* cancellation = nullptr;  // of an iterator (MS-8)
};

enum class PutAnswer : uint8_t {
  kStored,
  kExists,  // nothing was done; the block may still be on its way
  kNoRoom,  // in memory, and its level has no disk
};

struct BlockStatus {
  StorageLevel level;  // that the put asked for
  bool is_in_memory = false;
  bool is_on_disk = false;
  int64_t memory_bytes = 0;  // charged
  int64_t disk_bytes = 0;    // of data
  int64_t pins = 0;
};

// Any thread may call.
class BlockManager final : public BlockEvictionHandler {
 public:
  struct Options {
    MemoryStore::Options memory;
    DiskStore* disk = nullptr;          // may be null
    BlockObserver* observer = nullptr;  // may be null
  };

  // All must outlive this, which the caller attaches: UnifiedMemoryManager::SetMemoryStore.
  BlockManager(UnifiedMemoryManager& manager, const Options& options);
  BlockManager(const BlockManager&) = delete;
  BlockManager& operator=(const BlockManager&) = delete;

  // BLK-2. kInvalidArgument, kSupplierFailed, kNoDisk, kDisk, kNoMemory, kMemory,
  // kTaskNotRegistered: nothing is stored then.
  StoreResult<PutAnswer> PutBytes(const BlockPut& put, int64_t size, BytesSupplier& supplier);

  // One value of known size. It is still the caller's unless the answer is kStored; then
  // `closer` (may be null) ends it, when the block goes or is written to disk. Values that
  // cannot be serialized never go to disk: kSerializerFailed where the level has nothing else.
  StoreResult<PutAnswer> PutValue(const BlockPut& put, int64_t size, void* value,
                                  ValueCloser* closer);

  // As values where the level is deserialized (`sizes` then), else as bytes (`serializer`
  // then, and wherever the level has disk). kNoRoom: `rest` has all values. What goes to disk
  // at once is serialized in memory first.
  struct IteratorParts {
    ValueIterator* values = nullptr;
    ValueCloser* closer = nullptr;  // may be null
    SizeEstimator* sizes = nullptr;
    ValueSerializer* serializer = nullptr;
  };
  StoreResult<PutAnswer> PutIterator(const BlockPut& put, const IteratorParts& parts,
                                     PartiallyUnrolledIterator* rest);

  // Pins a block. Empty: there is none of that name. Waits, as `wait` says, while it is being
  // put, dropped or removed: kTimedOut, kInterrupted. kLost: it was on disk, and is removed now.
  // kDisk, kNoMemory: it is on disk, and could not be read this time. kTaskNotRegistered.
  StoreResult<BlockPin> Get(const BlockId& id, int64_t task, const LockWait& wait = {}) {
    BlockPin pin;
    if (const StoreError error = Get(id, task, wait, &pin)) return error;
    return pin;
  }
  // The same into `pin`, which is empty.
  StoreError Get(const BlockId& id, int64_t task, const LockWait& wait, BlockPin* pin);

  // kBusy: somebody has it pinned. kAbsent: there is none of that name. Waits, as `wait` says,
  // while it is being put or dropped.
  StoreResult<LockOutcome> Remove(const BlockId& id, int64_t task, const LockWait& wait = {});

  // In memory or on disk.
  bool Contains(const BlockId& id) const;
  bool GetStatus(const BlockId& id, BlockStatus* status) const;

  // Everything goes, pinned or not (MS-14). Nobody else is inside.
  void Clear();

  // The task has ended: its unroll memory and its pins go. Returns how many blocks it had
  // locked, and tells `released` which (TASK-3).
  int64_t ReleaseTask(int64_t task, ReleasedLocks* released);

  // BLK-1: to disk, if the level says so, and out of memory.
  StoreResult<StorageLevel> DropFromMemory(MemoryStore& store, const BlockId& id, BlockData data,
                                           int64_t writer) override;

  // Of blocks that are being dropped now, which still count as storage memory.
  int64_t BytesInFlight() const { return bytes_in_flight_.load(std::memory_order_relaxed); }

  // Around fork(): nobody else may be inside; outside of the disk store's. In the child, after
  // that of the disk store: blocks that were in memory are there, others are no more.
  // `is_inside`: the thread that forks is amid a call itself.
  void AddLocks(ForkLocks* locks);
  void ResetInChild(bool is_inside);

  MemoryStore& memory() { return memory_; }
  BlockInfoManager& infos() { return infos_; }

 private:
  friend class BlockPin;
  class Put;
  class DiskSupplier;

  MemoryLog* log() const { return manager_.log(); }
  StorageLevel Reachable(const StorageLevel& level) const;

  // Of block_manager.cc.
  StoreError Register(int64_t task);
  void Release(const BlockId& id, int64_t task);
  void Forget(const BlockId& id, int64_t writer);

  // Of block_manager_put.cc.
  StoreResult<PutAnswer> StoreBytes(const BlockPut& put, int64_t size, BytesSupplier& supplier);
  StoreResult<PutAnswer> StoreValue(const BlockPut& put, int64_t size, void* value,
                                    ValueCloser* closer);
  StoreResult<PutAnswer> StoreIterator(const BlockPut& put, const IteratorParts& parts,
                                       PartiallyUnrolledIterator* rest);
  StoreError SerializeRest(int64_t task, ValueSerializer& serializer,
                           PartiallyUnrolledIterator& rest, ByteSink& sink);
  void LogPersisting(const BlockId& id) const;
  StoreError WriteToDisk(const BlockId& id, const ChunkedBytes& bytes);
  StoreError WriteToDisk(const BlockId& id, const char* bytes, int64_t size);
  StoreError NoteWritten(const BlockId& id, int64_t size, const DiskError& error);

  // Of block_manager_get.cc.
  StoreError ReadBack(const BlockId& id, int64_t task, BlockPin* pin);
  StoreResult<ChunkedBytes> ReadFromDisk(const BlockId& id, int64_t size);
  bool ForgetIfLost(const BlockId& id, int64_t task);
  StoreError NoteLost(const BlockId& id, int64_t task, const StoreError& error);

  ChunkedBytes NewBytes() const;

  UnifiedMemoryManager& manager_;
  const Options options_;
  BlockInfoManager infos_;
  MemoryStore memory_;
  std::atomic<int64_t> bytes_in_flight_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_BLOCKS_BLOCK_MANAGER_H_
