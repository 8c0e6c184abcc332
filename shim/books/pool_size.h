// How large the pools are: as --memory says, or, where nobody set it, as the machine is until what
// its container may have is worth looking up; and what they are lent beyond that.
//
// Who gives a manager is inside the pools (pools.h).
#ifndef TASKMEM_SHIM_BOOKS_POOL_SIZE_H_
#define TASKMEM_SHIM_BOOKS_POOL_SIZE_H_

#include <cstdint>

#include "accounting/pools/unified_memory_manager.h"
#include "shim/options/options.h"

namespace taskmem {

// Larger sizes are no limit: sums of sizes must not overflow.
inline constexpr uint64_t kMostMemory = uint64_t{1} << 60;

// Before there are pools: their size, and how much of it is storage's. Where it `is_guessed`
// nothing shows it yet.
void FirstSize(const Options& options, bool is_guessed, MemoryManagerOptions* settings);

// Nobody set --memory: what its default bounds is in memory.
bool MemoryIsUnset();
// Something has gone from memory: what is in memory is looked at by the next who finds too
// little.
void LookAtMemoryAgain();

// The machine's size stands for it: LookUpSize has not been called.
bool IsMemoryGuessed();
// A charge of `bytes` makes it matter.
bool IsWorthLookingUp(uint64_t bytes);
// Looks it up, once. Many system calls.
void LookUpSize(UnifiedMemoryManager* manager);

// From now on it is `bytes` (UINT64_MAX: no limit). Returns what it was; 0: nothing has changed,
// because another thread is looking it up.
uint64_t ChangeSize(UnifiedMemoryManager* manager, uint64_t bytes);

// Where nobody set it, it bounds what is in memory: where the pools are exhausted by what tasks
// hold and have not touched, they are lent that much. Whether what is in memory and `bytes` more
// fit; then the pools have room for them until EndLending.
bool LendUntouched(UnifiedMemoryManager* manager, uint64_t bytes);

// In a forked child: a thread that is not here may have been looking.
void SizeAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_POOL_SIZE_H_
