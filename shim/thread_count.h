// How many threads the process has, the library's own among them.
#ifndef TASKMEM_SHIM_THREAD_COUNT_H_
#define TASKMEM_SHIM_THREAD_COUNT_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "shim/os.h"

namespace taskmem {

// 0: not known. Does I/O.
inline uint64_t ThreadCount() {
  char text[384];
  if (os::ReadFile("/proc/self/stat", text, sizeof(text)) <= 0) return 0;
  // "pid (name) state ppid ...": the 20th field, where a name may hold anything but its end.
  const char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 20; ++field) at = strchr(at + 1, ' ');
  return at != nullptr ? strtoull(at, nullptr, 10) : 0;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_THREAD_COUNT_H_
