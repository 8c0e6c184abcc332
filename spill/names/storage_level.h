// How a block is to be stored: Spark's StorageLevel (BLK-8).
#ifndef TASKMEM_SPILL_NAMES_STORAGE_LEVEL_H_
#define TASKMEM_SPILL_NAMES_STORAGE_LEVEL_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "accounting/memory/memory_mode.h"

namespace taskmem {

// A value; the default is NONE.
class StorageLevel {
 public:
  static constexpr int kDiskFlag = 8;
  static constexpr int kMemoryFlag = 4;
  static constexpr int kOffHeapFlag = 2;
  static constexpr int kDeserializedFlag = 1;
  static constexpr int kReplicationLimit = 40;

  constexpr StorageLevel() = default;

  // False, and `level` as it was: replication is 40 or more, or negative, or `flags` has
  // others than the four.
  static bool Make(int flags, int replication, StorageLevel* level);
  // By Spark's name: NONE, MEMORY_ONLY_SER_2, .. False: it is none of them.
  static bool FromName(std::string_view name, StorageLevel* level);

  static constexpr StorageLevel None() { return {}; }
  static constexpr StorageLevel DiskOnly() { return StorageLevel(kDiskFlag); }
  static constexpr StorageLevel MemoryOnly() {
    return StorageLevel(kMemoryFlag | kDeserializedFlag);
  }
  static constexpr StorageLevel MemoryOnlySer() { return StorageLevel(kMemoryFlag); }
  static constexpr StorageLevel MemoryAndDisk() {
    return StorageLevel(kDiskFlag | kMemoryFlag | kDeserializedFlag);
  }
  static constexpr StorageLevel MemoryAndDiskSer() { return StorageLevel(kDiskFlag | kMemoryFlag); }
  static constexpr StorageLevel OffHeap() {
    return StorageLevel(kDiskFlag | kMemoryFlag | kOffHeapFlag);
  }

  constexpr bool use_disk() const { return (flags_ & kDiskFlag) != 0; }
  constexpr bool use_memory() const { return (flags_ & kMemoryFlag) != 0; }
  constexpr bool use_off_heap() const { return (flags_ & kOffHeapFlag) != 0; }
  constexpr bool deserialized() const { return (flags_ & kDeserializedFlag) != 0; }
  constexpr int replication() const { return replication_; }
  constexpr int flags() const { return flags_; }

  // Something is stored somewhere.
  constexpr bool IsValid() const { return (use_memory() || use_disk()) && replication_ > 0; }
  constexpr MemoryMode memory_mode() const {
    return use_off_heap() ? MemoryMode::kOffHeap : MemoryMode::kOnHeap;
  }

  // "Disk Memory Deserialized 1x Replicated": at most `size` bytes with its NUL.
  void Describe(char* text, size_t size) const;

  friend constexpr bool operator==(const StorageLevel&, const StorageLevel&) = default;

 private:
  explicit constexpr StorageLevel(int flags, int replication = 1)
      : flags_(static_cast<uint8_t>(flags)), replication_(static_cast<uint8_t>(replication)) {}

  uint8_t flags_ = 0;
  uint8_t replication_ = 1;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_NAMES_STORAGE_LEVEL_H_
