// What becomes of a block that must leave memory (BLK-1).
#ifndef TASKMEM_SPILL_MEMORY_BLOCK_EVICTION_HANDLER_H_
#define TASKMEM_SPILL_MEMORY_BLOCK_EVICTION_HANDLER_H_

#include <cstdint>

#include "spill/memory/block_data.h"
#include "spill/names/block_id.h"
#include "spill/names/storage_level.h"
#include "spill/names/store_error.h"

namespace taskmem {

// Implemented by whoever knows where else blocks may be.
class BlockEvictionHandler {
 public:
  // Writes the block elsewhere, if that is wanted, and removes it from `store`: with
  // MemoryStore::Remove, after `data` has been reset. Returns the level it has from now on,
  // one that is not valid where it is nowhere any more (MS-18). After an error the block
  // stays where it is; the error's detail says what failed. Called with no lock held, and
  // the block write-locked by `writer`.
  virtual StoreResult<StorageLevel> DropFromMemory(MemoryStore& /*store*/, const BlockId& /*id*/,
                                                   BlockData /*data*/, int64_t /*writer*/) {
    return StoreErrorCode::kDropFailed;
  }

 protected:
  ~BlockEvictionHandler() = default;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_BLOCK_EVICTION_HANDLER_H_
