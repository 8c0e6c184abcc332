// What malloc does when no free list can serve it.
#ifndef TASKMEM_SHIM_MALLOC_SLOW_PATH_H_
#define TASKMEM_SHIM_MALLOC_SLOW_PATH_H_

#include <cerrno>
#include <cstddef>

#include "shim/heap/heap.h"

// A block to which there is an alternative: nullptr where there is no room; none was made, and no
// refusal counted.
extern "C" void* TaskmemMallocOptional(size_t size);

namespace taskmem {

// ENOMEM, and nullptr. errno on success is left alone where system calls are made (ErrnoKeeper).
void* Failed();

// Zeroed.
void* CallocSlow(size_t bytes);

// For TaskmemMallocOptional.
void* AllocateOptional(size_t size);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_SLOW_PATH_H_
