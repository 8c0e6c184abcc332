// How many threads the process has, the library's own among them.
#ifndef TASKMEM_SHIM_BASE_THREAD_COUNT_H_
#define TASKMEM_SHIM_BASE_THREAD_COUNT_H_

#include <cstdint>

#include "accounting/base/process_stat.h"
#include "shim/base/os.h"

namespace taskmem {

// 0: not known. Does I/O.
inline uint64_t ThreadCount() {
  char text[384];
  if (os::ReadFile("/proc/self/stat", text, sizeof(text)) <= 0) return 0;
  return ProcessStatNumber(text, kStatThreadCount);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_THREAD_COUNT_H_
