// A look at what is charged by residency: what of it is in memory now is charged from then on.
//
// A look costs about 1 ms for each GiB in memory (mincore). One that took t is followed by
// none for 50 t: at most 2 % of a core, whatever the interval.
//
// One thread looks at a time. Who comes meanwhile goes on, and where it knows of a change has the
// other look once more.
// The allocator looks through heap/upcalls.h: SampleResidencyNow, SampleResidencyIfDue.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_LOOK_H_
#define TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_LOOK_H_

#include <cstdint>

namespace taskmem {

// --residency-interval.
void OpenResidency(int64_t interval_ns);
int64_t ResidencyIntervalNs();

// Looks, unless another thread does. No lock may be held.
void SampleResidency();

// Since the last look ended, in ns.
uint64_t SinceLastLookNs();

// A thread looks now, and may have counted already what leaves memory meanwhile.
bool IsAmidLook();

// Looks; where another thread does already it looks once more when it is done. No lock may be held.
void SampleResidencyAgain();

// In a forked child: another thread may have been looking.
void LookAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_LOOK_H_
