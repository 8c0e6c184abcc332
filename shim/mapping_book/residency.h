// What is charged by residency: looked at now and then, and charged as of then.
//
// A look costs about 1 ms for each GiB in memory (mincore). One that took t is followed by
// none for 50 t: at most 2 % of a core, whatever the interval.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_H_
#define TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_H_

#include <cstdint>

#include "shim/books/fold.h"

namespace taskmem {

void OpenResidency(int64_t interval_ns);
int64_t ResidencyIntervalNs();

// There are ranges that are charged by residency, or were in the last look.
bool HasResidencyToSample();

// Ranges of `bytes` that are charged by residency have been added to those of the task.
void NoteSparse(uint32_t slot, uint64_t bytes);

// Whether the task may hold most of its quota, if all that was added since the last look is
// in memory by now.
bool MayBeNearQuota(uint32_t slot);

// Looks, unless another thread does. No lock may be held.
void SampleResidency();

// Looks, after another thread that does has ended its look: what was in memory when this is
// called is charged when it returns.
void SampleResidencyNow();

// The task ended, or its slot is folded: what is charged goes along. The mappings' lock is
// held.
void FoldResidency(const SlotSet& from, uint32_t to);

// Charges `bytes` more, found by whoever looked itself. The mappings' lock is held.
void AddResidency(uint32_t slot, uint64_t bytes);

// Adds what is charged by residency.
void AddResidencyBytes(uint64_t* bytes_by_slot);

void ResidencyAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_H_
