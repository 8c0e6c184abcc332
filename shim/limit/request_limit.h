// The quota or the pools do not allow a charge for a block. What can be tried is (at_limit.h); then
// policy decides.
#ifndef TASKMEM_SHIM_LIMIT_REQUEST_LIMIT_H_
#define TASKMEM_SHIM_LIMIT_REQUEST_LIMIT_H_

#include <cstddef>

#include "shim/contexts/context.h"
#include "shim/large/grow.h"

namespace taskmem {

// The block, or nullptr: it is refused.
void* AllocateAtLimit(Context* context, size_t size, bool zero, size_t alignment);

// Only where policy would not refuse it, and without making room.
void* AllocateIfLetThrough(Context* context, size_t size);

// As AllocateAtLimit, for a large block that is to grow.
void* GrowAtLimit(Context* context, const Growth& growth);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_REQUEST_LIMIT_H_
