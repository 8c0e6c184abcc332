// Multiples.
#ifndef TASKMEM_ACCOUNTING_BASE_ROUND_UP_H_
#define TASKMEM_ACCOUNTING_BASE_ROUND_UP_H_

#include <cstdint>

namespace taskmem {

// The next multiple of `unit`, by default a page of the machine; 0 where it overflows.
constexpr uint64_t RoundUp(uint64_t bytes, uint64_t unit = 4096) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_ROUND_UP_H_
