// Addresses free() and realloc() are given that the library never handed out.
#ifndef TASKMEM_SHIM_FOREIGN_H_
#define TASKMEM_SHIM_FOREIGN_H_

#include <cstddef>

namespace taskmem {

// Forwards to glibc where the block is glibc's; otherwise one line, no crash.
void ForeignFree(void* block);
// nullptr with ENOMEM where it is nobody's.
void* ForeignRealloc(void* block, size_t size);
size_t ForeignUsableSize(void* block);

// One line: `block` is free already.
void ReportDoubleFree(const void* block);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_FOREIGN_H_
