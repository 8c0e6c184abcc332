// A block of any size, for the slow path and at the limit.
#ifndef TASKMEM_SHIM_LIMIT_TAKE_H_
#define TASKMEM_SHIM_LIMIT_TAKE_H_

#include <cstddef>

#include "shim/large/large_blocks.h"
#include "shim/pages/take_small.h"

namespace taskmem {

__attribute__((always_inline)) inline Outcome Take(Context* context, Pair* pair, size_t size,
                                                   bool zero, size_t alignment, ChargeMode mode,
                                                   void** result) {
  if (IsLargeRequest(size, alignment)) {
    return TakeLarge(context, pair->slot, size, zero, alignment, mode, result);
  }
  return TakeSmall(context, pair, size, zero, mode, result);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_TAKE_H_
