// A block that somebody uses: locked for reading, so that it is neither evicted nor removed.
#ifndef TASKMEM_SPILL_BLOCKS_BLOCK_PIN_H_
#define TASKMEM_SPILL_BLOCKS_BLOCK_PIN_H_

#include <cstdint>
#include <utility>

#include "spill/memory/block_data.h"

namespace taskmem {

class BlockManager;

// Empty, or one pin, which its end gives up. Must not outlive the block manager. Where all
// locks of the task have been released, or the manager was cleared, the data is still there
// as long as this is.
class BlockPin {
 public:
  BlockPin() = default;
  ~BlockPin() { Reset(); }
  BlockPin(BlockPin&& other) { *this = std::move(other); }
  BlockPin& operator=(BlockPin&& other) {
    if (this == &other) return *this;
    Reset();
    manager_ = std::exchange(other.manager_, nullptr);
    task_ = other.task_;
    data_ = std::move(other.data_);
    return *this;
  }

  explicit operator bool() const { return manager_ != nullptr; }
  void Reset();

  // Only where it is not empty. Bytes that were read from disk for this pin alone, because
  // memory had no room for them or their level has none, are like others.
  const BlockData& operator*() const { return data_; }
  const BlockData* operator->() const { return &data_; }

 private:
  friend class BlockManager;

  BlockManager* manager_ = nullptr;
  int64_t task_ = 0;
  BlockData data_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_BLOCKS_BLOCK_PIN_H_
