// Space that the overflow file is given before it is mapped: a full disk is an error then, and
// never a SIGBUS later.
//
// No locks. System calls; errno may change.
#ifndef TASKMEM_SPILL_OVERFLOW_FILE_SPACE_H_
#define TASKMEM_SPILL_OVERFLOW_FILE_SPACE_H_

#include <sys/vfs.h>

#include <cstddef>
#include <cstdint>

#include "spill/overflow/overflow_status.h"

namespace taskmem {

// What the file system has for this user, in bytes.
inline uint64_t FreeBytes(const struct statfs& system) {
  return system.f_bavail * static_cast<uint64_t>(system.f_bsize);
}

// Gives [offset, offset + bytes) of the file space, and leaves some of the file system to others.
// On an error nothing is given.
OverflowStatus GiveSpace(int fd, uint64_t offset, size_t bytes);

// Takes it back: what was there reads as zeros.
void TakeSpaceBack(int fd, uint64_t offset, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_OVERFLOW_FILE_SPACE_H_
