// A call that takes ranges away is noted before it is made: the addresses may be another
// thread's as soon as they are free. Until it is made, what was noted is kept.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_UNMAPPING_H_
#define TASKMEM_SHIM_MAPPING_BOOK_UNMAPPING_H_

#include <cstdint>

namespace taskmem {

// Makes the system call, which takes [start, end) away, and notes that. Returns its answer;
// after a failure the book is as before.
long UnmapNoted(uint64_t start, uint64_t end, long call, long a, long b);

// In a forked child: ranges that another thread was about to unmap are here still, unless the
// kernel had done it.
void UnmappingsAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_UNMAPPING_H_
