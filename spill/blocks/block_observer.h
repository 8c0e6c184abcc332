// Who wants to know what becomes of blocks.
#ifndef TASKMEM_SPILL_BLOCKS_BLOCK_OBSERVER_H_
#define TASKMEM_SPILL_BLOCKS_BLOCK_OBSERVER_H_

#include <cstdint>

#include "spill/names/block_id.h"
#include "spill/names/store_error.h"

namespace taskmem {

// Called with no lock held, on the thread whose request it was: an eviction's is that of who
// needed the memory. The defaults do nothing.
class BlockObserver {
 public:
  // It has left memory for somebody else; `bytes` are what it was charged with.
  virtual void BlockEvicted(const BlockId& /*id*/, int64_t /*bytes*/) {}
  // Bytes of its data went to disk, or came from there.
  virtual void BlockWritten(const BlockId& /*id*/, int64_t /*bytes*/) {}
  virtual void BlockRead(const BlockId& /*id*/, int64_t /*bytes*/) {}
  // It should have left memory and could not; it is as it was.
  virtual void DropFailed(const BlockId& /*id*/, const StoreError& /*error*/) {}
  // It was on disk, and what is there is not it any more: it is gone.
  virtual void BlockLost(const BlockId& /*id*/, const StoreError& /*error*/) {}

 protected:
  ~BlockObserver() = default;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_BLOCKS_BLOCK_OBSERVER_H_
