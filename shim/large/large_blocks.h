// Blocks of more than 128 KiB, each in a page of its own, and from 16 MiB in a segment of its own.
#ifndef TASKMEM_SHIM_LARGE_LARGE_BLOCKS_H_
#define TASKMEM_SHIM_LARGE_LARGE_BLOCKS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"
#include "shim/pages/outcome.h"

namespace taskmem {

// What a block of `bytes` that grows gets behind it, not in memory and not charged. A large block
// does not become a huge one by that.
size_t RoomToGrow(size_t bytes);

// The page map's entry of a large block, whose page begins at `start`.
std::atomic<uint64_t>* PlaceOfLarge(const mi_page_t* page, const char* start);

// A block of more than 128 KiB: a page, or from 16 MiB a segment, of its own.
// It hangs in the shared heap; the page map names its owner.
Outcome TakeLarge(Context* context, uint32_t slot, size_t size, bool zero, size_t alignment,
                  ChargeMode mode, void** result);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LARGE_LARGE_BLOCKS_H_
