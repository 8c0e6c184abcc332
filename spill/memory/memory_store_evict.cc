// How blocks leave memory for others (MS-15 to MS-18).
#include <utility>

#include "accounting/base/size_text.h"
#include "spill/memory/memory_store.h"

namespace taskmem {

// Selecting and locking are one step, so that nobody sees a block locked that stays.
MemoryStore::Selection MemoryStore::SelectForDropping(int64_t rdd, int64_t bytes, MemoryMode mode,
                                                      uint64_t eviction, bool without_disk) {
  Selection selection;
  const MutexLock lock(mutex_);
  BlockInfoManager::EvictionLocks locks(infos_);
  MemoryEntry** end = &selection.first;
  for (MemoryEntry* entry = oldest_; entry != nullptr && selection.bytes < bytes;
       entry = entry->newer) {
    if (entry->mode != mode || (rdd != BlockId::kNoRdd && entry->id.rdd_id() == rdd)) continue;
    if (entry->is_selected || entry->failed_eviction == eviction) continue;
    if (without_disk && locks.UsesDisk(entry->id)) continue;
    if (!locks.CanLock(entry->id)) continue;
    *end = entry;
    end = &entry->next_selected;
    selection.bytes += entry->size;
    ++selection.blocks;
  }
  *end = nullptr;
  if (selection.bytes < bytes) return {};
  for (MemoryEntry* entry = selection.first; entry != nullptr; entry = entry->next_selected) {
    locks.Lock(entry->id);
    entry->is_selected = true;
    entry->references.fetch_add(1, std::memory_order_relaxed);
  }
  return selection;
}

Result<int64_t> MemoryStore::EvictBlocksToFreeSpace(const std::string_view* for_block,
                                                    int64_t bytes, MemoryMode mode) {
  if (bytes <= 0) return MemoryError(ErrorCode::kInvalidArgument, bytes);
  const int64_t rdd = for_block != nullptr ? BlockId::RddIdOf(*for_block) : BlockId::kNoRdd;
  const uint64_t eviction = evictions_.fetch_add(1, std::memory_order_relaxed) + 1;

  // More than one round only where drops have failed. Each drops a block or finds one that
  // cannot be dropped, so there is a last one. A block that cannot be written may be alone in
  // that; after two the disk is not tried again for this request, for each attempt may write
  // all of a block before it fails.
  constexpr int kMostFailures = 2;
  int64_t freed = 0;
  int failures = 0;
  bool goes_on = false;
  do {
    goes_on = false;
    Selection selection =
        SelectForDropping(rdd, bytes - freed, mode, eviction, failures >= kMostFailures);
    if (selection.first == nullptr) {
      if (for_block != nullptr) {
        const int length = static_cast<int>(for_block->size() < 256 ? for_block->size() : 256);
        LogLine(log(), LogLevel::kInfo, "Will not store %.*s", length, for_block->data());
      }
      return freed;
    }
    LogLine(log(), LogLevel::kInfo, "%lld blocks selected for dropping (%s bytes)",
            static_cast<long long>(selection.blocks), SizeText(selection.bytes).c_str());
    int64_t dropped = 0;
    while (selection.first != nullptr) {
      MemoryEntry* const entry = selection.first;
      selection.first = entry->next_selected;
      const int64_t size = entry->size;
      if (const StoreError error = Drop(entry, eviction)) {
        if (IsSpark()) {
          UnlockSelected(selection.first);
          return MemoryError(ErrorCode::kEvictionFailed, error.memory.detail);
        }
        goes_on = true;
        if (++failures == kMostFailures) {
          UnlockSelected(selection.first);
          break;
        }
      } else {
        freed += size;
        ++dropped;
      }
    }
    if (dropped > 0 && log() != nullptr && log()->Wants(LogLevel::kInfo)) {
      // Up to 4.2.0 there is no blank before the size.
      LogLine(log(), LogLevel::kInfo, "After dropping %lld blocks, free memory is%s%s",
              static_cast<long long>(dropped), IsSpark() ? "" : " ",
              SizeText(MaxMemory() - BlocksMemoryUsed()).c_str());
    }
  } while (goes_on && freed < bytes);
  return freed;
}

// Drops a block that is write-locked for it, and unlocks it. Takes over the reference.
StoreError MemoryStore::Drop(MemoryEntry* entry, uint64_t eviction) {
  constexpr int64_t kWriter = BlockInfoManager::kEvictionWriter;
  const BlockId id = entry->id;
  BlockData data(this, entry);
  mutex_.Lock();
  entry->is_selected = false;
  const bool is_there = entry->is_listed;
  if (is_there) MarkUsed(entry);
  mutex_.Unlock();
  if (!is_there) {
    infos_.Unlock(id, kWriter);
    return {};
  }
  const StoreResult<StorageLevel> level =
      handler_.DropFromMemory(*this, id, std::move(data), kWriter);
  if (!level.ok()) {
    const MutexLock lock(mutex_);
    if (MemoryEntry* const left = Find(id); left != nullptr) left->failed_eviction = eviction;
  }
  if (level.ok() && !level->IsValid()) {
    infos_.RemoveBlock(id, kWriter);
  } else {
    infos_.Unlock(id, kWriter);
  }
  return level.error();
}

void MemoryStore::UnlockSelected(MemoryEntry* entries) {
  while (entries != nullptr) {
    MemoryEntry* const entry = entries;
    entries = entry->next_selected;
    mutex_.Lock();
    entry->is_selected = false;
    mutex_.Unlock();
    infos_.Unlock(entry->id, BlockInfoManager::kEvictionWriter);
    Release(entry);
  }
}

}  // namespace taskmem
