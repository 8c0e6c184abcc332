// Addresses of the overflow file's range: mapped from the file, from private memory, or from
// nothing.
//
// By system call: the names may be interposed by whoever uses this. No locks; errno may change.
#ifndef TASKMEM_SPILL_OVERFLOW_MAPPED_RUN_H_
#define TASKMEM_SPILL_OVERFLOW_MAPPED_RUN_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

int Advise(uintptr_t start, size_t bytes, int advice);

// Each replaces what is mapped there. False: the system does not do it, and nothing is mapped.
// Shared with the file, not inherited by fork.
bool MapFromFile(uintptr_t start, size_t bytes, int fd, uint64_t offset);
// Private memory, zeroed.
bool MapPrivate(uintptr_t start, size_t bytes);
// Reserved, and not accessible.
bool MapNothing(uintptr_t start, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_OVERFLOW_MAPPED_RUN_H_
