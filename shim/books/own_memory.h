// Memory for the library's own bookkeeping: from its own mappings, never from
// the interposed malloc, never unmapped. Because it is never unmapped, a stale
// pointer into it can be read safely while another thread recycles it.
#ifndef TASKMEM_SHIM_BOOKS_OWN_MEMORY_H_
#define TASKMEM_SHIM_BOOKS_OWN_MEMORY_H_

#include <cstddef>

#include "accounting/base/mutex.h"

namespace taskmem {

// Zeroed, 64-byte aligned; nullptr when the system has no more.
void* OwnAllocate(size_t bytes);

// Takes back what OwnAllocate(bytes) gave. The caller has zeroed what it used
// where `is_zero` says so, which spares clearing it on reuse.
void OwnFree(void* memory, size_t bytes, bool is_zero = false);

// For fork().
Mutex& OwnMemoryMutex();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_OWN_MEMORY_H_
