// What the storage pools ask for room: the part of a memory store they see.
#ifndef TASKMEM_ACCOUNTING_POOLS_BLOCK_EVICTOR_H_
#define TASKMEM_ACCOUNTING_POOLS_BLOCK_EVICTOR_H_

#include <cstdint>
#include <string_view>

#include "accounting/memory/memory_error.h"
#include "accounting/memory/memory_mode.h"

namespace taskmem {

class BlockEvictor {
 public:
  // Frees at least `bytes` (> 0) of storage memory of `mode` by dropping blocks, or
  // drops nothing and returns 0 (MS-15 to MS-18). Less where a block cannot be dropped.
  // `for_block`: the block that needs the room, or null where execution does. Whatever is
  // dropped has been given back
  // by UnifiedMemoryManager::ReleaseStorageMemory when this returns.
  // Called with no lock held; several threads may call at once.
  virtual Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* /*for_block*/,
                                                 int64_t /*bytes*/, MemoryMode /*mode*/) {
    return int64_t{0};
  }

 protected:
  ~BlockEvictor() = default;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_POOLS_BLOCK_EVICTOR_H_
