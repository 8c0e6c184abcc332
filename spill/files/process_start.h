// Which process a pid means.
#ifndef TASKMEM_SPILL_FILES_PROCESS_START_H_
#define TASKMEM_SPILL_FILES_PROCESS_START_H_

#include <sys/types.h>

#include <cstdint>

#include "spill/files/file_ops.h"

namespace taskmem {

// When the process started, in clock ticks since the machine did: field 22 of
// /proc/<pid>/stat. 0: it cannot be read, or there is none.
uint64_t ProcessStartTime(FileOps& ops, pid_t pid);

// Whether there is a process of that pid that started then, as far as this pid name space
// tells. Where it cannot be told there is.
bool IsProcessAlive(FileOps& ops, pid_t pid, uint64_t start_time);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_PROCESS_START_H_
