// What is said of a request that policy refuses, or ends the process for.
#ifndef TASKMEM_SHIM_LIMIT_REFUSALS_H_
#define TASKMEM_SHIM_LIMIT_REFUSALS_H_

#include <cstddef>
#include <cstdint>

#include "spill/reclaim/reclaim.h"

namespace taskmem {

// Logged are the first of this thread's refusals in a row, and each at which they have doubled; the
// program is told of all. The text names the limit that refused: `needed` more was charged to the
// task than its quota allows, or than there is.
void SayRefusal(uint32_t slot, size_t size, uint64_t needed, const ReclaimReport& report);

// Says why, and ends the process. `size` 0: nothing was asked for, the task has touched too much.
void ReportTaskAndDie(uint32_t slot, size_t size, const ReclaimReport& report);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_REFUSALS_H_
