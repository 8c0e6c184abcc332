// Who has locked which block: the lists of BlockInfoManager. All of it needs its lock.
#include "spill/locks/block_info_manager.h"

namespace taskmem {

BlockInfoManager::Block* BlockInfoManager::Find(const BlockId& id) const {
  return blocks_.Find(id.hash(), [&id](const Block& block) { return block.id == id; });
}

BlockInfoManager::Task* BlockInfoManager::FindTask(int64_t id) const {
  if (id == kEvictionWriter) return const_cast<Task*>(&eviction_task_);
  return tasks_.Find(Task::HashOf(id), [id](const Task& task) { return task.id == id; });
}

BlockInfoManager::Hold* BlockInfoManager::FindHold(const Block& block, const Task& owner) const {
  Hold* hold = block.first_hold;
  while (hold != nullptr && hold->owner != &owner) hold = hold->next_of_block;
  return hold;
}

void BlockInfoManager::AddRead(Block& block, Task& task, Hold* spare) {
  ++block.readers;
  if (Hold* const hold = FindHold(block, task); hold != nullptr) {
    ++hold->count;
    if (spare != nullptr) PutSpare(spare);
    return;
  }
  Hold* const hold = spare != nullptr ? spare : TakeSpare();
  *hold = {.block = &block,
           .owner = &task,
           .count = 1,
           .next_of_block = block.first_hold,
           .next_of_task = task.first_hold,
           .previous_of_task = nullptr};
  block.first_hold = hold;
  if (task.first_hold != nullptr) task.first_hold->previous_of_task = hold;
  task.first_hold = hold;
}

// Whatever its count: `readers` of the block is the caller's to change.
void BlockInfoManager::DropHold(Hold* hold) {
  Hold** link = &hold->block->first_hold;
  while (*link != hold) link = &(*link)->next_of_block;
  *link = hold->next_of_block;
  Hold* const previous = hold->previous_of_task;
  (previous != nullptr ? previous->next_of_task : hold->owner->first_hold) = hold->next_of_task;
  if (hold->next_of_task != nullptr) hold->next_of_task->previous_of_task = previous;
  PutSpare(hold);
}

void BlockInfoManager::SetWriter(Block& block, Task& task) {
  block.writer = task.id;
  block.written_by = &task;
  block.previous_written = nullptr;
  block.next_written = task.first_written;
  if (task.first_written != nullptr) task.first_written->previous_written = &block;
  task.first_written = &block;
}

void BlockInfoManager::ClearWriter(Block& block) {
  Block* const previous = block.previous_written;
  (previous != nullptr ? previous->next_written : block.written_by->first_written) =
      block.next_written;
  if (block.next_written != nullptr) block.next_written->previous_written = previous;
  block.written_by = nullptr;
  block.writer = kNoWriter;
}

bool BlockInfoManager::ForgetBlock(Block& block) {
  if (block.writer != kNoWriter) ClearWriter(block);
  while (block.first_hold != nullptr) DropHold(block.first_hold);
  block.readers = 0;
  block.is_passed_over = false;
  if (Waiter* const heir = EndWaiters(block); heir != nullptr) {
    block.level = heir->level;
    SetWriter(block, *FindTask(heir->task));
    heir->is_new = true;
    Signal(*heir);
    return false;
  }
  blocks_.Erase(&block);
  return true;
}

bool BlockInfoManager::LockWithSpare() {
  for (;;) {
    mutex_.Lock();
    if (spares_ != nullptr) return true;
    mutex_.Unlock();
    Hold* const spare = MakeFrom<Hold>(options_.source);
    if (spare == nullptr) return false;
    const MutexLock lock(mutex_);
    PutSpare(spare);
  }
}

BlockInfoManager::Hold* BlockInfoManager::TakeSpare() {
  Hold* const spare = spares_;
  spares_ = spare->next_of_block;
  return spare;
}

void BlockInfoManager::PutSpare(Hold* hold) {
  hold->next_of_block = spares_;
  spares_ = hold;
}

}  // namespace taskmem
