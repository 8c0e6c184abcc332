// A block in memory, held so that it stays while somebody looks at it.
#ifndef TASKMEM_SPILL_MEMORY_BLOCK_DATA_H_
#define TASKMEM_SPILL_MEMORY_BLOCK_DATA_H_

#include <cstdint>
#include <utility>

#include "accounting/memory/memory_mode.h"
#include "spill/memory/chunked_bytes.h"
#include "spill/memory/value_array.h"
#include "spill/names/block_id.h"

namespace taskmem {

class MemoryStore;
struct MemoryEntry;

// Empty, or one block. What it names stays as it is, even when the block is removed: the
// bytes and values go with the last of these. Must not outlive the store.
class BlockData {
 public:
  BlockData() = default;
  ~BlockData() { Reset(); }
  BlockData(BlockData&& other)
      : store_(std::exchange(other.store_, nullptr)),
        entry_(std::exchange(other.entry_, nullptr)) {}
  BlockData& operator=(BlockData&& other) {
    if (this != &other) {
      Reset();
      store_ = std::exchange(other.store_, nullptr);
      entry_ = std::exchange(other.entry_, nullptr);
    }
    return *this;
  }

  explicit operator bool() const { return entry_ != nullptr; }
  void Reset();

  // Only where it is not empty:
  const BlockId& id() const;
  int64_t size() const;  // bytes it is charged with
  MemoryMode mode() const;
  bool is_serialized() const;
  const ChunkedBytes& bytes() const;  // of a serialized block
  void* const* values() const;        // of a deserialized one, `count` of them
  int64_t count() const;
  ValueCloser* closer() const;  // null: they need no end

 private:
  friend class MemoryStore;
  BlockData(MemoryStore* store, MemoryEntry* entry) : store_(store), entry_(entry) {}

  MemoryStore* store_ = nullptr;
  MemoryEntry* entry_ = nullptr;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_BLOCK_DATA_H_
