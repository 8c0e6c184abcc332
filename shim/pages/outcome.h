// What became of a request for a block.
#ifndef TASKMEM_SHIM_PAGES_OUTCOME_H_
#define TASKMEM_SHIM_PAGES_OUTCOME_H_

#include <cstdint>

namespace taskmem {

enum class Outcome : uint8_t { kDone, kOverQuota, kNoMemory };

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_OUTCOME_H_
