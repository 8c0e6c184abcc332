// Lengths of mapping calls as the kernel takes them, and its answers.
#ifndef TASKMEM_SHIM_MAPPINGS_MAPPING_RANGES_H_
#define TASKMEM_SHIM_MAPPINGS_MAPPING_RANGES_H_

#include <errno.h>
#include <sys/mman.h>

#include <cstdint>

#include "accounting/base/round_up.h"
#include "shim/base/os.h"

namespace taskmem {

inline constexpr uint64_t kMappingPage = 4096;

inline bool IsRange(uint64_t start, uint64_t bytes) {
  return start % kMappingPage == 0 && bytes != 0 && start + bytes > start;
}

// As libc's functions answer: -1 or MAP_FAILED, and errno.
inline int Answer(long result) {
  if (!os::Failed(result)) return static_cast<int>(result);
  errno = static_cast<int>(-result);
  return -1;
}

inline void* AnswerAddress(long result) {
  if (!os::Failed(result)) return reinterpret_cast<void*>(result);
  errno = static_cast<int>(-result);
  return MAP_FAILED;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_MAPPING_RANGES_H_
