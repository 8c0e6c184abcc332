// The clock that deadlines and moments of books are of.
#ifndef TASKMEM_ACCOUNTING_BASE_MONOTONIC_NS_H_
#define TASKMEM_ACCOUNTING_BASE_MONOTONIC_NS_H_

#include <time.h>

#include <cstdint>

namespace taskmem {

// CLOCK_MONOTONIC, in nanoseconds: the same in all processes of the machine. Keeps errno.
inline int64_t MonotonicNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_MONOTONIC_NS_H_
