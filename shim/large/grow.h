// Blocks of more than 128 KiB that grow and shrink without a copy. A large
// block grows as far as its page has room, and then its page (segments/extend_page.h), a huge one
// with its segment (huge_segment.h). Charged is the difference.
#ifndef TASKMEM_SHIM_LARGE_GROW_H_
#define TASKMEM_SHIM_LARGE_GROW_H_

#include <cstddef>
#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/pages/outcome.h"

namespace taskmem {

// What realloc is asked for.
struct Growth {
  void* block;
  size_t old_size;  // usable
  size_t size;
};

// A huge block's size is in the page map: mimalloc keeps none from 2 GiB on.
size_t UsableSize(const void* block);

// What a growth charges the task in `slot`.
uint64_t GrowthBytes(const Growth& growth, uint32_t slot);

// The block becomes larger, and the task's in `slot`, if it was another's. kNoMemory: it
// cannot grow without a copy. Where it did not grow it is what it was.
Outcome GrowInPlace(uint32_t slot, const Growth& growth, ChargeMode mode, void** result);

// A huge block becomes smaller where it is. Less than 64 KiB is not worth it.
void ShrinkInPlace(void* block, size_t size);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LARGE_GROW_H_
