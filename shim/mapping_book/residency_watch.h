// When the next look at what is charged by residency has to come, for the thread that makes it
// (residency_timer.h): where a task could pass its quota before the interval has passed, when it
// could. It costs more only if memory has grown.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_WATCH_H_
#define TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_WATCH_H_

#include <cstdint>

namespace taskmem {

// How long nobody needs to look, in ns: programs touch at most about 1 GiB/s. At most
// --residency-interval.
uint64_t NextLookNs();

// Looks, if the process has more in memory than at the last look, so that a task may be near its
// quota, or one interval has passed. Ends the process where a task is over its quota and policy
// says so. For a thread of the library's own, without locks.
void WatchResidency();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_WATCH_H_
