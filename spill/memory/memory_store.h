// Blocks in storage memory, the least recently used of which are evicted when somebody
// needs room: Spark's MemoryStore (MS).
//
//   storage used  =  the sizes of the blocks  +  the unroll memory of the tasks
//
// Locks: the store's lock guards which blocks there are and in what order they were used;
// inside it only the lock manager's is taken, to select blocks for eviction. No lock is held
// while memory is acquired or released, nor while a handler, an iterator, a supplier, a
// serializer or a closer runs or a line is logged.
#ifndef TASKMEM_SPILL_MEMORY_MEMORY_STORE_H_
#define TASKMEM_SPILL_MEMORY_MEMORY_STORE_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/memory_allocator.h"
#include "accounting/pools/block_evictor.h"
#include "accounting/pools/unified_memory_manager.h"
#include "spill/locks/block_info_manager.h"
#include "spill/memory/block_data.h"
#include "spill/memory/block_eviction_handler.h"
#include "spill/memory/block_values.h"
#include "spill/memory/memory_entry.h"
#include "spill/memory/partially_serialized_block.h"
#include "spill/memory/partially_unrolled_iterator.h"
#include "spill/memory/unroll_memory.h"
#include "spill/memory/unroll_owner.h"
#include "spill/names/node_table.h"
#include "spill/names/store_error.h"

namespace taskmem {

// Where the bytes of a block come from, once there is room for them.
class BytesSupplier {
 public:
  // After an error, whose detail says what failed, the block is not stored.
  virtual StoreResult<ChunkedBytes> Supply() { return StoreErrorCode::kSupplierFailed; }
  // The bytes where they lie already, which spares a copy where they go to disk at once;
  // nullptr: they do not.
  virtual const char* InPlace() { return nullptr; }

 protected:
  ~BytesSupplier() = default;
};

// A put of values.
struct PutValues {
  const BlockId* id = nullptr;
  MemoryMode mode = MemoryMode::kOnHeap;
  int64_t task = 0;  // whose unroll memory it is; MemoryStore::kNoTask: no task's
  ValueIterator* values = nullptr;
  // MS-8: ends the put as if there were no room. May be null.
  const Cancellation* cancellation = nullptr;
};

struct PutOutcome {
  bool is_stored = false;
  int64_t size = 0;          // stored: bytes
  int64_t unroll_bytes = 0;  // not stored: of unroll memory that the task still has
  int64_t taken = 0;         // values taken from the iterator
};

class MemoryStore final : public BlockEvictor, private UnrollOwner {
 public:
  static constexpr int64_t kNoTask = -1;                 // CONST-7
  static constexpr int64_t kMaxChunkBytes = 2147483632;  // MS-11

  struct Options {
    int64_t unroll_threshold_bytes = 1 << 20;  // CONST-2, as the next two
    int64_t unroll_check_period = 16;          // values
    double unroll_growth_factor = 1.5;
    MemorySource source = SystemMemory();       // of the store's own books
    MemorySource data_source = SystemMemory();  // of bytes that are serialized
  };

  // All must outlive the store. The caller attaches it: UnifiedMemoryManager::SetMemoryStore.
  MemoryStore(UnifiedMemoryManager& manager, BlockInfoManager& infos, BlockEvictionHandler& handler,
              const Options& options);
  // Nobody uses it any more. What is in it is freed, and not released.
  ~MemoryStore();
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  // MS-4: says how much there is, and whether that is enough.
  void LogStart() const;

  // MS-5: True: stored. False: no room, and the supplier was not called. kAlreadyPresent,
  // kInvalidArgument, kSupplierFailed (also for bytes of another size), kNoMemory, kMemory.
  // After an error, in kSpark, `size` stays charged if the supplier failed; in kTaskmem never.
  StoreResult<bool> PutBytes(const BlockId& id, int64_t size, MemoryMode mode,
                             BytesSupplier& supplier);

  // The same for one value whose size is known, as values (MS-9 without the unrolling). `closer`
  // may be null. Where it is not stored it is still the caller's.
  StoreResult<bool> PutValue(const BlockId& id, int64_t size, MemoryMode mode, void* value,
                             ValueCloser* closer);

  // MS-6 to MS-11. Where the values do not fit `partial` is filled with all of them. `closer`
  // may be null. kAlreadyPresent, kTransferFailed (kSpark), kIteratorFailed, kNoMemory,
  // kMemory. After an error the values that were taken are closed, and in kTaskmem their
  // unroll memory is released; in kSpark the task keeps it, except for kTransferFailed.
  StoreResult<PutOutcome> PutIteratorAsValues(const PutValues& put, ValueCloser* closer,
                                              SizeEstimator& sizes,
                                              PartiallyUnrolledIterator* partial);
  // The same, serialized; kSerializerFailed, too.
  StoreResult<PutOutcome> PutIteratorAsBytes(const PutValues& put, ValueSerializer& serializer,
                                             PartiallySerializedBlock* partial);

  // MS-12. Empty: there is no such block. It is now the most recently used. kNotSerialized,
  // kNotDeserialized.
  StoreResult<BlockData> GetBytes(const BlockId& id) { return Get(id, true); }
  StoreResult<BlockData> GetValues(const BlockId& id) { return Get(id, false); }
  BlockData GetEither(const BlockId& id);
  // Bytes that look like a block and are none: nobody else sees them, and they are charged to
  // nobody. Empty: no memory.
  BlockData Detached(const BlockId& id, ChunkedBytes bytes);
  // kBlockNotFound.
  StoreResult<int64_t> GetSize(const BlockId& id);
  bool Contains(const BlockId& id) const;
  // False: there is no such block. It is not used by this.
  bool PeekSize(const BlockId& id, int64_t* size) const;

  // MS-13. False: there is no such block.
  bool Remove(const BlockId& id);
  // MS-14. In kTaskmem releases what the store has, and not what others charged.
  void Clear();

  // MS-15 to MS-18. kInvalidArgument, and in kSpark kEvictionFailed with what a handler's
  // error said. In kTaskmem the others go on where one cannot be dropped, more blocks are
  // tried instead, and less than `bytes` may come of it.
  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* for_block, int64_t bytes,
                                         MemoryMode mode) override;

  // MS-19: all or nothing. kMemory, kNoMemory.
  StoreResult<bool> ReserveUnrollMemoryForTask(const BlockId& id, int64_t bytes, MemoryMode mode,
                                               int64_t task);
  // At most what the task has.
  void ReleaseUnrollMemoryForTask(MemoryMode mode, int64_t task,
                                  int64_t bytes = INT64_MAX) override;
  // TASK-1, before UnifiedMemoryManager::EndTask.
  void ReleaseAllUnrollMemoryForTask(int64_t task);

  int64_t MaxMemory() const;  // MS-3, as the next two
  int64_t MemoryUsed() const { return manager_.StorageMemoryUsed(); }
  int64_t BlocksMemoryUsed() const { return MemoryUsed() - unroll_.Total(); }
  const UnrollMemory& unroll_memory() const { return unroll_; }  // MS-20
  bool IsSpark() const override { return manager_.compatibility() == Compatibility::kSpark; }

  // Around fork(): nobody else may be inside; outside of BlockInfoManager's. In the child no
  // other thread goes on with a put or an eviction. What those had charged is released,
  // unless `is_inside`: the thread that forked is amid one itself.
  void AddLocks(ForkLocks* locks);
  void ResetInChild(bool is_inside);

  // visit(const MemoryEntry&) from the least to the most recently used block, under the
  // lock: it must not call back.
  template <typename Visit>
  void ForEachEntry(Visit visit) const {
    const MutexLock lock(mutex_);
    for (const MemoryEntry* entry = oldest_; entry != nullptr; entry = entry->newer) visit(*entry);
  }

  // The address of a pointer to the block that was used last, for who reads this process's memory
  // from outside.
  const void* newest_at() const { return &newest_; }

 private:
  friend class BlockData;

  // Of memory_store.cc.
  StoreResult<BlockData> Get(const BlockId& id, bool serialized);
  MemoryEntry* MakeEntry(const BlockId& id, MemoryMode mode);
  bool Publish(MemoryEntry* entry);
  void Release(MemoryEntry* entry);
  void CloseValues(ValueArray& values) override;
  StoreError CheckPut(const BlockId* id) const;
  void LogStored(const BlockId& id, int64_t size, const char* as) const;
  MemoryLog* log() const { return manager_.log(); }

  // These need the lock.
  MemoryEntry* Find(const BlockId& id) const;
  void Link(MemoryEntry* entry);
  void Unlink(MemoryEntry* entry);
  void MarkUsed(MemoryEntry* entry);

  // Of memory_store_put.cc.
  template <typename Holder>
  StoreResult<PutOutcome> PutIterator(const PutValues& put, Holder& holder);
  template <typename Holder>
  StoreResult<bool> Unroll(const PutValues& put, Holder& holder, PutOutcome* outcome);
  template <typename Holder>
  StoreResult<bool> StoreUnrolled(const PutValues& put, Holder& holder, PutOutcome* outcome);
  StoreResult<bool> ReserveMore(const PutValues& put, int64_t bytes, PutOutcome* outcome);
  StoreResult<bool> TransferUnrollMemory(const PutValues& put, int64_t size, PutOutcome* outcome);
  void LogUnrollFailure(const BlockId& id, int64_t size) const;

  // Of memory_store_evict.cc.
  struct Selection {
    MemoryEntry* first = nullptr;  // in the order in which they are dropped
    int64_t bytes = 0;
    int64_t blocks = 0;
  };
  Selection SelectForDropping(int64_t rdd, int64_t bytes, MemoryMode mode, uint64_t eviction,
                              bool without_disk);
  StoreError Drop(MemoryEntry* entry, uint64_t eviction);
  void UnlockSelected(MemoryEntry* entries);

  UnifiedMemoryManager& manager_;
  BlockInfoManager& infos_;
  BlockEvictionHandler& handler_;
  const Options options_;
  UnrollMemory unroll_;
  std::atomic<uint64_t> evictions_{0};
  mutable Mutex mutex_;
  NodeTable<MemoryEntry> entries_;
  MemoryEntry* oldest_ = nullptr;
  MemoryEntry* newest_ = nullptr;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_MEMORY_STORE_H_
