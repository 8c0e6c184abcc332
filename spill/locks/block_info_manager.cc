#include "spill/locks/block_info_manager.h"

namespace taskmem {

// Holds the lock while the locks of a block change, and tells the memory manager, once it
// is given up, that there is more to evict.
class BlockInfoManager::Change {
 public:
  explicit Change(BlockInfoManager& infos) : infos_(infos) { infos_.mutex_.Lock(); }
  // The lock is held already.
  Change(BlockInfoManager& infos, int) : infos_(infos) {}
  ~Change() {
    infos_.mutex_.Unlock();
    UnifiedMemoryManager* const manager = infos_.options_.manager;
    if (must_notify_ && manager != nullptr) manager->NotifyChanged();
    while (garbage_ != nullptr) {
      Block* const block = garbage_;
      garbage_ = block->next_in_table;
      DestroyIn(infos_.options_.source, block);
    }
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  // Locks of the block have been given up.
  void Released(Block& block) {
    infos_.RunWaiters(block);
    if (!block.IsUnlocked() || !block.is_passed_over) return;
    block.is_passed_over = false;
    must_notify_ = true;
  }

  // The block is no more.
  void Forget(Block& block) {
    if (!infos_.ForgetBlock(block)) return;
    block.next_in_table = garbage_;
    garbage_ = &block;
  }

 private:
  BlockInfoManager& infos_;
  bool must_notify_ = false;
  Block* garbage_ = nullptr;
};

BlockInfoManager::BlockInfoManager(const Options& options) : options_(options) {
  tasks_.Insert(&non_task_);
}

BlockInfoManager::~BlockInfoManager() {
  Clear();
  tasks_.ForEach([this](Task& task) {
    if (&task != &non_task_) DestroyIn(options_.source, &task);
  });
  while (spares_ != nullptr) {
    Hold* const spare = TakeSpare();
    DestroyIn(options_.source, spare);
  }
  blocks_.FreeBuckets(options_.source);
  tasks_.FreeBuckets(options_.source);
}

StoreError BlockInfoManager::RegisterTask(int64_t task) {
  {
    const MutexLock lock(mutex_);
    if (FindTask(task) != nullptr) return {};
  }
  Task* const made = MakeFrom<Task>(options_.source, task);
  if (made == nullptr) return StoreError(StoreErrorCode::kNoMemory, task);
  tasks_.Prepare(mutex_, options_.source);
  mutex_.Lock();
  const bool is_new = FindTask(task) == nullptr;
  if (is_new) tasks_.Insert(made);
  mutex_.Unlock();
  if (!is_new) DestroyIn(options_.source, made);
  return {};
}

StoreResult<LockOutcome> BlockInfoManager::LockForReading(const BlockId& id, int64_t task,
                                                          const LockWait& wait) {
  if (!LockWithSpare()) return StoreError(StoreErrorCode::kNoMemory, task);
  Task* const reader = FindTask(task);
  Block* const block = Find(id);
  if (block == nullptr || reader == nullptr) {
    mutex_.Unlock();
    if (block == nullptr) return LockOutcome::kAbsent;
    return StoreError(StoreErrorCode::kTaskNotRegistered, task);
  }
  if (block->writer == kNoWriter) {
    AddRead(*block, *reader);
    mutex_.Unlock();
    return LockOutcome::kLocked;
  }
  if (wait.timeout_ns <= 0) {
    mutex_.Unlock();
    return LockOutcome::kBusy;
  }
  Waiter waiter = {
      .kind = Waiter::Kind::kRead, .block = block, .task = task, .level = {}, .spare = TakeSpare()};
  if (const StoreError error = Wait(waiter, wait)) return error;
  return waiter.outcome;
}

StoreResult<LockOutcome> BlockInfoManager::LockForWriting(const BlockId& id, int64_t task,
                                                          const LockWait& wait) {
  mutex_.Lock();
  Task* const writer = FindTask(task);
  Block* const block = Find(id);
  if (block == nullptr || writer == nullptr) {
    mutex_.Unlock();
    if (block == nullptr) return LockOutcome::kAbsent;
    return StoreError(StoreErrorCode::kTaskNotRegistered, task);
  }
  if (block->IsUnlocked()) {
    SetWriter(*block, *writer);
    mutex_.Unlock();
    return LockOutcome::kLocked;
  }
  if (wait.timeout_ns <= 0) {
    mutex_.Unlock();
    return LockOutcome::kBusy;
  }
  Waiter waiter = {
      .kind = Waiter::Kind::kWrite, .block = block, .task = task, .level = {}, .spare = nullptr};
  if (const StoreError error = Wait(waiter, wait)) return error;
  return waiter.outcome;
}

StoreResult<bool> BlockInfoManager::LockNewBlockForWriting(const BlockId& id,
                                                           const StorageLevel& level, int64_t task,
                                                           bool keep_read_lock,
                                                           const LockWait& wait) {
  if (id.name().empty()) return StoreErrorCode::kInvalidArgument;
  Block* made = nullptr;
  for (;;) {
    if (!LockWithSpare()) {
      DestroyIn(options_.source, made);
      return StoreError(StoreErrorCode::kNoMemory, task);
    }
    Task* const writer = FindTask(task);
    if (writer == nullptr) {
      mutex_.Unlock();
      DestroyIn(options_.source, made);
      return StoreError(StoreErrorCode::kTaskNotRegistered, task);
    }
    Block* const block = Find(id);
    if (block == nullptr && made == nullptr) {
      mutex_.Unlock();
      made = MakeFrom<Block>(options_.source, id, level);
      if (made == nullptr) return StoreError(StoreErrorCode::kNoMemory, task);
      blocks_.Prepare(mutex_, options_.source);
      continue;
    }
    if (block == nullptr) {
      blocks_.Insert(made);
      SetWriter(*made, *writer);
      mutex_.Unlock();
      return true;
    }
    if (!keep_read_lock || block->writer == kNoWriter) {
      if (keep_read_lock) AddRead(*block, *writer);
      mutex_.Unlock();
      DestroyIn(options_.source, made);
      return false;
    }
    if (wait.timeout_ns <= 0) {
      mutex_.Unlock();
      DestroyIn(options_.source, made);
      return StoreError(StoreErrorCode::kTimedOut, task);
    }
    Waiter waiter = {.kind = Waiter::Kind::kNew,
                     .block = block,
                     .task = task,
                     .level = level,
                     .spare = TakeSpare()};
    const StoreError error = Wait(waiter, wait);
    DestroyIn(options_.source, made);
    if (error) return error;
    return waiter.is_new;
  }
}

StoreError BlockInfoManager::AssertBlockIsLockedForWriting(const BlockId& id, int64_t task) const {
  const MutexLock lock(mutex_);
  const Block* const block = Find(id);
  if (block == nullptr) return StoreError(StoreErrorCode::kBlockNotFound, task);
  if (block->writer != task) return StoreError(StoreErrorCode::kNotLockedForWriting, task);
  return {};
}

StoreError BlockInfoManager::DowngradeLock(const BlockId& id, int64_t task) {
  if (!LockWithSpare()) return StoreError(StoreErrorCode::kNoMemory, task);
  Change change(*this, 0);
  Block* const block = Find(id);
  if (block == nullptr) return StoreError(StoreErrorCode::kBlockNotFound, task);
  Task* const reader = FindTask(task);
  if (block->writer != task || reader == nullptr) {
    return StoreError(StoreErrorCode::kDowngradeWithoutLock, task);
  }
  ClearWriter(*block);
  AddRead(*block, *reader);
  change.Released(*block);
  return {};
}

StoreError BlockInfoManager::Unlock(const BlockId& id, int64_t task) {
  const bool is_spark = options_.compatibility == Compatibility::kSpark;
  Change change(*this);
  Block* const block = Find(id);
  if (block == nullptr) return StoreError(StoreErrorCode::kBlockNotFound, task);
  if (block->writer != kNoWriter) {
    if (block->writer != task && !is_spark) {
      return StoreError(StoreErrorCode::kNotLockedForWriting, task);
    }
    ClearWriter(*block);
    change.Released(*block);
    return {};
  }
  const Task* const reader = FindTask(task);
  if (reader == nullptr) return {};
  if (block->readers <= 0) return StoreError(StoreErrorCode::kNotLockedForReading, task);
  Hold* const hold = FindHold(*block, *reader);
  if (hold == nullptr) {
    if (is_spark) --block->readers;  // it finds out too late
    return StoreError(StoreErrorCode::kReleasedTooOften, task);
  }
  --block->readers;
  if (--hold->count == 0) DropHold(hold);
  change.Released(*block);
  return {};
}

StoreError BlockInfoManager::RemoveBlock(const BlockId& id, int64_t task) {
  Change change(*this);
  Block* const block = Find(id);
  if (block == nullptr) return StoreError(StoreErrorCode::kBlockNotFound, task);
  if (block->writer != task) return StoreError(StoreErrorCode::kRemoveWithoutLock, task);
  change.Forget(*block);
  return {};
}

int64_t BlockInfoManager::ReleaseAllLocksForTask(int64_t id, ReleasedLocks* released) {
  mutex_.Lock();
  Task* const task = FindTask(id);
  if (task == nullptr || task == &eviction_task_) {
    mutex_.Unlock();
    return 0;
  }
  // It can lock nothing any more.
  if (task != &non_task_) {
    tasks_.Erase(task);
    EndWaitersOf(id);
  }
  mutex_.Unlock();

  // One block after the other: what is told of them is told with no lock held.
  int64_t blocks = 0;
  for (;;) {
    BlockId of_block;
    {
      Change change(*this);
      Block* block = task->first_written;
      if (block != nullptr) {
        ClearWriter(*block);
      } else if (Hold* const hold = task->first_hold; hold != nullptr) {
        block = hold->block;
        block->readers = block->readers > hold->count ? block->readers - hold->count : 0;
        DropHold(hold);
      } else {
        break;
      }
      of_block = block->id;
      change.Released(*block);
    }
    ++blocks;
    if (released != nullptr) released->Released(of_block);
  }
  if (task != &non_task_) DestroyIn(options_.source, task);
  return blocks;
}

void BlockInfoManager::NotePublished(const BlockId& id) {
  Change change(*this);
  Block* const block = Find(id);
  if (block == nullptr) return;
  block->is_passed_over = true;
  change.Released(*block);
}

void BlockInfoManager::Clear() {
  Change change(*this);
  blocks_.ForEach([&change](Block& block) { change.Forget(block); });
}

void BlockInfoManager::ResetInChild(bool (*is_kept)(const BlockId& id, void* context),
                                    void* context) {
  mutex_.ResetAfterFork();
  first_waiter_ = last_waiter_ = nullptr;
  waiting_threads_.store(0, std::memory_order_relaxed);
  Change change(*this);
  blocks_.ForEach([&](Block& block) {
    if (block.writer != kNoWriter) ClearWriter(block);
    if (!is_kept(block.id, context)) change.Forget(block);
  });
}

bool BlockInfoManager::Get(const BlockId& id, BlockInfo* info) const {
  const MutexLock lock(mutex_);
  const Block* const block = Find(id);
  if (block == nullptr) return false;
  *info = {block->id, block->level, block->writer, block->readers};
  return true;
}

int64_t BlockInfoManager::size() const {
  const MutexLock lock(mutex_);
  return blocks_.size();
}

int64_t BlockInfoManager::NumberOfMapEntries() const {
  const MutexLock lock(mutex_);
  int64_t entries = int64_t{blocks_.size()} + 2 * int64_t{tasks_.size()};
  tasks_.ForEach([&entries](const Task& task) {
    for (const Hold* hold = task.first_hold; hold != nullptr; hold = hold->next_of_task) {
      entries += hold->count;
    }
    for (const Block* block = task.first_written; block != nullptr; block = block->next_written) {
      ++entries;
    }
  });
  return entries;
}

bool BlockInfoManager::EvictionLocks::CanLock(const BlockId& id) {
  Block* const block = infos_.Find(id);
  if (block == nullptr || block->IsUnlocked()) return block != nullptr;
  block->is_passed_over = true;
  return false;
}

bool BlockInfoManager::EvictionLocks::UsesDisk(const BlockId& id) const {
  const Block* const block = infos_.Find(id);
  return block != nullptr && block->level.use_disk();
}

void BlockInfoManager::EvictionLocks::Lock(const BlockId& id) {
  infos_.SetWriter(*infos_.Find(id), infos_.eviction_task_);
}

}  // namespace taskmem
