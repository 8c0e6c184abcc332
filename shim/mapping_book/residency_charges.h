// What each task is charged by residency: as of the last look, and what has been added since.
//
//   a look finds   FoundResident, FoundRanges, for one thread at a time (residency_look.h)
//   it ends        SettleFound: what was found is what is charged from now on
#ifndef TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_CHARGES_H_
#define TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_CHARGES_H_

#include <cstdint>

#include "accounting/audit/audit_layout.h"
#include "shim/books/fold.h"

namespace taskmem {

// There are ranges that are charged by residency, or were in the last look.
bool HasResidencyToSample();

// Ranges of `bytes` that are charged by residency have been added to those of the task.
void NoteSparse(uint32_t slot, uint64_t bytes);

// Whether the task may hold most of its quota, if all that was added since the last look is
// in memory by now.
bool MayBeNearQuota(uint32_t slot);

// Some of what is charged by residency is a task's that has a quota.
bool ResidencyMeetsQuota();

// Whether the task has ranges that are charged by residency, as of the last look or added since.
bool HasResidencyRanges(uint32_t slot);

// What the task is charged by residency, and all tasks together were at the last look. Bytes.
uint64_t ChargedByResidency(uint32_t slot);
uint64_t TotalByResidency();

// Charges `bytes` more, found by whoever looked itself. The mappings' lock is held.
void AddResidency(uint32_t slot, uint64_t bytes);

// `bytes` of the task have left memory: credits them, where so many are charged. The mappings' lock
// is held.
void TakeResidency(uint32_t slot, uint64_t bytes);

// The task ended, or its slot is folded: what is charged goes along. The mappings' lock is
// held.
void FoldResidency(const SlotSet& from, uint32_t to);

// Adds what is charged by residency.
void AddResidencyBytes(uint64_t* bytes_by_slot);

// For the thread that looks: the task has such ranges, and of them `bytes` more in memory.
void FoundRanges(uint32_t slot);
void FoundResident(uint32_t slot, uint64_t bytes);

// A look has ended: charges or credits what it found against what is charged, and forgets that. The
// mappings' lock is held.
void SettleFound();

// How many looks have ended. Changes under the mappings' lock.
uint64_t EndedLooks();

// `bytes` are about to leave memory. Returns how many since the last look ended.
uint64_t CountLeaving(uint64_t bytes);

// In a forked child: another thread may have been amid a look.
void ForgetFound();

// Tells who looks from outside where the charges are.
void DescribeResidency(AuditLayout* layout);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_CHARGES_H_
