// What can be wrong with the overflow file, and how that is said.
#ifndef TASKMEM_SPILL_OVERFLOW_OVERFLOW_STATUS_H_
#define TASKMEM_SPILL_OVERFLOW_OVERFLOW_STATUS_H_

#include <cstdint>

namespace taskmem {

enum class OverflowStatus : uint8_t {
  kOk,
  kNoFile,       // the file cannot be made
  kInMemory,     // its file system is memory itself
  kNoAddresses,  // the range cannot be reserved, or has no free run that long
  kOverLimit,    // the limit given to Open
  kNoSpace,      // the file system is full, or would be nearly
  kFileLimit,    // RLIMIT_FSIZE
  kFailed,       // any other error of the system
};

// Completes "overflow: ...".
const char* OverflowStatusText(OverflowStatus status);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_OVERFLOW_OVERFLOW_STATUS_H_
