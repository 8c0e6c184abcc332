// The two threads that keep what is resident of the overflow file down: one looks and takes
// pages out of the page table, one writes them to disk. They belong to no task, allocate
// nothing, take no signal, and sleep while nothing overflows.
#ifndef TASKMEM_SHIM_OVERFLOW_OVERFLOW_THREADS_H_
#define TASKMEM_SHIM_OVERFLOW_OVERFLOW_THREADS_H_

#include <cstddef>
#include <cstdint>

#include "shim/options/options.h"
#include "spill/overflow/overflow_file.h"

namespace taskmem {

// Once, when the file is open. False: no memory.
bool OpenOverflowPager(OverflowFile& file, AtThrashing at_thrashing);

// The threads run from here on. False: they cannot be started, and overflow is not to be used.
bool StartOverflowThreads();

// A run has been taken from the file, or given back.
void OverflowGrows(const void* start, size_t bytes);
void OverflowShrinks(const void* start, size_t bytes);

// A block or a page of blocks has been taken in the file, and will be touched. Where much has
// been, waits some milliseconds for the pager to look at what is resident.
void OverflowTakes(uint64_t bytes);

// Whether the memory of the task in `slot` went out and came back all the time lately.
bool IsTaskThrashing(uint32_t slot);

// In a fork child, where they do not exist.
void ForgetOverflowThreads();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OVERFLOW_OVERFLOW_THREADS_H_
