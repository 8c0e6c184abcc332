// Which blocks there are, and who has locked them: Spark's BlockInfoManager (BLK-4 to
// BLK-7).
//
//   of a block:  writer == none, or readers == 0
//   readers   =  the sum of what the tasks hold
//
// A task may lock a block for reading several times; the write lock is not re-entrant.
// Whoever gives a lock up hands it, under the manager's lock, to those who wait for it and
// can have it, in the order in which they came, and wakes only those.
#ifndef TASKMEM_SPILL_LOCKS_BLOCK_INFO_MANAGER_H_
#define TASKMEM_SPILL_LOCKS_BLOCK_INFO_MANAGER_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/compatibility.h"
#include "accounting/memory/memory_allocator.h"
#include "accounting/pools/unified_memory_manager.h"
#include "spill/names/block_id.h"
#include "spill/names/node_table.h"
#include "spill/names/storage_level.h"
#include "spill/names/store_error.h"

namespace taskmem {

// How long a call may wait for a lock.
struct LockWait {
  int64_t timeout_ns = ExecutionRequest::kForever;  // 0: not at all
  const Cancellation* cancellation = nullptr;

  static LockWait None() { return {.timeout_ns = 0, .cancellation = nullptr}; }
};

enum class LockOutcome : uint8_t {
  kLocked,
  kAbsent,  // there is no such block, or it went while the call waited
  kBusy,    // it is locked, and the call does not wait
};

// A block, at one moment.
struct BlockInfo {
  BlockId id;
  StorageLevel level;
  int64_t writer;   // a task, or kNoWriter
  int64_t readers;  // read locks
};

// Told of the blocks whose locks a task has given up.
class ReleasedLocks {
 public:
  // Once for each block the task had locked. Called with no lock held.
  virtual void Released(const BlockId& /*id*/) {}

 protected:
  ~ReleasedLocks() = default;
};

// Any thread may call. Tasks are named in each call; kNonTaskWriter is no task. kSpark: the
// faults of Spark's unlock, too (BLK-6).
class BlockInfoManager {
 public:
  static constexpr int64_t kNoWriter = -1;           // CONST-7
  static constexpr int64_t kNonTaskWriter = -1024;   // CONST-7
  static constexpr int64_t kEvictionWriter = -1025;  // the memory store, while it evicts

  struct Options {
    Compatibility compatibility = Compatibility::kTaskmem;
    // Told when a block that eviction passed over can be evicted. May be null.
    UnifiedMemoryManager* manager = nullptr;
    MemorySource source = SystemMemory();
  };

  explicit BlockInfoManager(const Options& options);
  // Nobody waits, and no lock matters any more.
  ~BlockInfoManager();
  BlockInfoManager(const BlockInfoManager&) = delete;
  BlockInfoManager& operator=(const BlockInfoManager&) = delete;

  // Before the task's first lock, and again after ReleaseAllLocksForTask. kNoMemory.
  StoreError RegisterTask(int64_t task);

  // BLK-4. kTaskNotRegistered, kTimedOut, kInterrupted, kNoMemory: nothing is locked then.
  StoreResult<LockOutcome> LockForReading(const BlockId& id, int64_t task,
                                          const LockWait& wait = {});
  StoreResult<LockOutcome> LockForWriting(const BlockId& id, int64_t task,
                                          const LockWait& wait = {});

  // BLK-5. True: the block is new, and the task has its write lock. False: it exists, and
  // with `keep_read_lock` the task has locked it for reading. Errors as above; kTimedOut
  // where it may not wait.
  StoreResult<bool> LockNewBlockForWriting(const BlockId& id, const StorageLevel& level,
                                           int64_t task, bool keep_read_lock = true,
                                           const LockWait& wait = {});

  // kBlockNotFound, kNotLockedForWriting (B10).
  StoreError AssertBlockIsLockedForWriting(const BlockId& id, int64_t task) const;

  // The write lock becomes a read lock. kBlockNotFound, kDowngradeWithoutLock, kNoMemory.
  StoreError DowngradeLock(const BlockId& id, int64_t task);

  // The write lock, or one read lock. kBlockNotFound, kNotLockedForReading,
  // kReleasedTooOften, and in kTaskmem kNotLockedForWriting where another has the write
  // lock. Nothing for a task that is not registered (SPARK-53807): its locks are gone.
  StoreError Unlock(const BlockId& id, int64_t task);

  // The block is no more. kBlockNotFound, kRemoveWithoutLock.
  StoreError RemoveBlock(const BlockId& id, int64_t task);

  // BLK-7: how many blocks the task had locked. It is registered no more. Other threads of
  // the task that wait for locks get kTaskNotRegistered.
  int64_t ReleaseAllLocksForTask(int64_t task, ReleasedLocks* released = nullptr);

  // The block is in memory from now on: an eviction that began before has missed it.
  void NotePublished(const BlockId& id);

  // Ends the waits that use `cancellation`, which UnifiedMemoryManager::Cancel has set.
  void Cancel(const Cancellation& cancellation);

  // Every block is no more; tasks stay registered.
  void Clear();

  // Around fork(): nobody else may be inside. In the child nobody waits, no other thread has a
  // block locked for writing, and tasks keep what they have locked for reading. Blocks that
  // `is_kept`(id, context) denies are no more.
  void AddLocks(ForkLocks* locks) { locks->Add(mutex_); }
  void ResetInChild(bool (*is_kept)(const BlockId& id, void* context), void* context);

  // False: there is no such block.
  bool Get(const BlockId& id, BlockInfo* info) const;
  int64_t size() const;  // blocks
  // Blocks, registered tasks (twice), and locks they hold: for leak tests (B18).
  int64_t NumberOfMapEntries() const;
  // Threads that wait for a lock and have no answer yet.
  int WaitingThreads() const { return waiting_threads_.load(std::memory_order_relaxed); }

  // visit(const BlockInfo&) for every block, in no order, under the lock: it must not
  // call back.
  template <typename Visit>
  void ForEach(Visit visit) const {
    const MutexLock lock(mutex_);
    blocks_.ForEach([&visit](const Block& block) {
      visit(BlockInfo{block.id, block.level, block.writer, block.readers});
    });
  }

  // Write locks for an eviction, on several blocks as one step. Holds the manager's lock as
  // long as it lives; the caller may hold the memory store's, and calls nothing else.
  class EvictionLocks {
   public:
    explicit EvictionLocks(BlockInfoManager& infos) : infos_(infos), lock_(infos.mutex_) {}

    // False: there is no such block, or somebody has locked it. When that one gives it up,
    // those who wait for memory look again.
    bool CanLock(const BlockId& id);
    // Whether its level has it written to disk when it leaves memory.
    bool UsesDisk(const BlockId& id) const;
    // Where CanLock.
    void Lock(const BlockId& id);

   private:
    BlockInfoManager& infos_;
    const MutexLock lock_;
  };

 private:
  struct Block;
  struct Task;

  // How often a task has locked a block for reading.
  struct Hold {
    Block* block = nullptr;
    Task* owner = nullptr;
    int64_t count = 0;
    Hold* next_of_block = nullptr;
    Hold* next_of_task = nullptr;
    Hold* previous_of_task = nullptr;
  };

  struct Task {
    explicit Task(int64_t the_id) : id(the_id) {}
    uint32_t hash() const { return HashOf(id); }
    static uint32_t HashOf(int64_t id) {
      return static_cast<uint32_t>((static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15u) >> 32);
    }

    const int64_t id;
    Task* next_in_table = nullptr;
    Hold* first_hold = nullptr;
    Block* first_written = nullptr;
  };

  struct Block {
    Block(const BlockId& the_id, const StorageLevel& the_level) : id(the_id), level(the_level) {}
    uint32_t hash() const { return id.hash(); }
    bool IsUnlocked() const { return writer == kNoWriter && readers == 0; }

    // What a look-up reads and writes lies together.
    Block* next_in_table = nullptr;
    int64_t writer = kNoWriter;
    int64_t readers = 0;
    Hold* first_hold = nullptr;
    const BlockId id;
    StorageLevel level;
    Task* written_by = nullptr;
    Block* next_written = nullptr;  // by the same task
    Block* previous_written = nullptr;
    bool is_passed_over = false;  // by an eviction that could have used it
  };

  // A call that waits for the lock of a block, on the stack of its thread.
  // It is linked, and belongs to whoever holds the lock, until it is signalled; then to its
  // thread again.
  struct Waiter {
    enum class Kind : uint8_t { kRead, kWrite, kNew };

    Kind kind;
    Block* block;
    int64_t task;
    StorageLevel level;  // kNew: the block's, if it vanishes
    Hold* spare;         // kRead, kNew
    const Cancellation* cancellation = nullptr;

    LockOutcome outcome = LockOutcome::kLocked;
    bool is_new = false;  // kNew: this call has registered the block
    StoreErrorCode error = StoreErrorCode::kNone;

    Waiter* next = nullptr;
    Waiter* previous = nullptr;
    bool is_waiting = false;
    std::atomic<uint32_t> signalled{0};
  };

  class Change;

  // Of block_lock_books.cc; they need the lock, and keep it.
  Block* Find(const BlockId& id) const;
  Task* FindTask(int64_t id) const;
  Hold* FindHold(const Block& block, const Task& owner) const;
  // Needs a spare, `spare` or one of the list.
  void AddRead(Block& block, Task& task, Hold* spare = nullptr);
  void DropHold(Hold* hold);
  void SetWriter(Block& block, Task& task);
  void ClearWriter(Block& block);
  Hold* TakeSpare();
  void PutSpare(Hold* hold);
  // False: somebody who waited to register the block has it now.
  bool ForgetBlock(Block& block);

  // Of block_lock_waits.cc; they need the lock, and keep it.
  bool TryGrant(Waiter& waiter);
  void RunWaiters(Block& block);
  Waiter* EndWaiters(Block& block);
  void EndWaitersOf(int64_t task);
  void Signal(Waiter& waiter);
  void Unlink(Waiter& waiter);

  // Takes the lock, with a spare hold there. False: there is no memory, and it is not held.
  bool LockWithSpare();
  // Gives the lock up for good, and returns when the waiter has its answer.
  StoreError Wait(Waiter& waiter, const LockWait& wait);

  const Options options_;
  mutable Mutex mutex_;
  NodeTable<Block> blocks_;
  NodeTable<Task> tasks_;
  Task eviction_task_{kEvictionWriter};
  Task non_task_{kNonTaskWriter};
  Hold* spares_ = nullptr;
  Waiter* first_waiter_ = nullptr;  // as they came
  Waiter* last_waiter_ = nullptr;
  std::atomic<int> waiting_threads_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_LOCKS_BLOCK_INFO_MANAGER_H_
