// Space for parts of a sparse file that is mapped: a write to a hole of a file system that is full
// would be a SIGBUS. I/O; no allocation, no lock.
#ifndef TASKMEM_SHIM_PUBLISHED_SPARSE_SPACE_H_
#define TASKMEM_SHIM_PUBLISHED_SPARSE_SPACE_H_

#include <cstddef>

namespace taskmem {

// Gives [offset, offset + bytes) of the file, mapped at `file`, space, and the process those pages.
// False: there is none, or the kernel (before Linux 5.14) cannot do that.
bool ReserveSpace(char* file, size_t offset, size_t bytes);

// The same by the file's descriptor, without the pages, for any kernel. True also for a file system
// that cannot do that.
bool ReserveSpaceIn(long fd, size_t offset, size_t bytes);

// Whether a file may be that large: to try it would be a SIGXFSZ.
bool IsWithinFileLimit(size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_SPARSE_SPACE_H_
