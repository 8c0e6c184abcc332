// What is charged by residency: looked at now and then, and charged as of then.
//
// A look costs about 1 ms for each GiB in memory (mincore). One that took t is followed by
// none for 50 t: at most 2 % of a core, whatever the interval. Where a task could pass its quota
// before, the next look comes when it could (NextLookNs); it costs more only if memory has grown.
//
// What leaves memory is looked at before (LeavingMemory).
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

// Some of what is charged by residency is a task's that has a quota.
bool ResidencyMeetsQuota();

// How long nobody needs to look, in ns: programs touch at most about 1 GiB/s. At most
// --residency-interval.
uint64_t NextLookNs();

// Looks, if the process has more in memory than at the last look, so that a task may be near its
// quota, or one interval has passed. Ends the process where a task is over its quota and policy
// says so. For a thread of the library's own.
void WatchResidency();

// [start, end) is about to leave memory. What has come there since the last look would be missed:
// looks, where it is much of what is charged. What of it is charged is then credited by
// ItIsGone, once it has left. No lock may be held.
class LeavingMemory {
 public:
  LeavingMemory(uint64_t start, uint64_t end);
  void ItIsGone();

 private:
  static constexpr uint32_t kMostTasks = 4;

  struct Part {
    uint32_t slot;
    uint64_t bytes;
  };
  Part parts_[kMostTasks];
  uint32_t count_ = 0;
  uint64_t look_ = 0;  // after which they are charged
};

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
