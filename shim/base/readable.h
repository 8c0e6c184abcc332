// Whether memory can be read, without reading it.
#ifndef TASKMEM_SHIM_BASE_READABLE_H_
#define TASKMEM_SHIM_BASE_READABLE_H_

#include <cerrno>
#include <cstdint>

#include "shim/base/os.h"

namespace taskmem {

// Whether the page that `address` is in, a multiple of 8, can be read now. One system call; where
// the program has forbidden calls it is taken for readable, as nearly all is that is asked about.
// Async-signal-safe.
inline bool IsReadable(uint64_t address) {
  if (os::IsSealed()) return true;
  // The kernel reads the set of signals first, and then finds that this is nothing to do with one.
  constexpr long kNothing = ~0L;
  constexpr long kSetBytes = 8;
  return os::Call(SYS_rt_sigprocmask, kNothing, static_cast<long>(address), 0, kSetBytes) !=
         -EFAULT;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_READABLE_H_
