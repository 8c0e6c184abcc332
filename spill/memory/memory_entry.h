// A block in the memory store. Internal to MemoryStore.
#ifndef TASKMEM_SPILL_MEMORY_MEMORY_ENTRY_H_
#define TASKMEM_SPILL_MEMORY_MEMORY_ENTRY_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "spill/locks/block_info_manager.h"
#include "spill/memory/chunked_bytes.h"
#include "spill/memory/value_array.h"

namespace taskmem {

// What it holds never changes while it is listed; its links are under the store's lock.
struct MemoryEntry {
  MemoryEntry(const BlockId& the_id, MemoryMode the_mode) : id(the_id), mode(the_mode) {}
  uint32_t hash() const { return id.hash(); }

  // What a look-up reads and writes lies together.
  MemoryEntry* next_in_table = nullptr;
  MemoryEntry* older = nullptr;  // less recently used
  MemoryEntry* newer = nullptr;
  // The store's while it is listed, and one for each BlockData.
  std::atomic<int64_t> references{1};
  const BlockId id;

  const MemoryMode mode;
  bool is_serialized = false;
  bool is_listed = false;
  int64_t size = 0;
  ChunkedBytes bytes;
  ValueArray values;

  // By an eviction, which has its write lock.
  bool is_selected = false;
  MemoryEntry* next_selected = nullptr;
  uint64_t failed_eviction = 0;  // the last one that could not drop it
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_MEMORY_ENTRY_H_
