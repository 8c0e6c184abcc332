// Memory straight from the kernel, for what works below malloc and cannot be bounded.
#ifndef TASKMEM_ACCOUNTING_MAPPING_H_
#define TASKMEM_ACCOUNTING_MAPPING_H_

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace taskmem {

// By system call: mmap itself may be interposed by whoever uses this. Both keep errno.

// Zeroed memory, aligned to a page of the machine; nullptr: there is none.
inline void* MapZeroed(size_t bytes) {
  const int saved_errno = errno;
  const long address = syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  errno = saved_errno;
  return address == -1 ? nullptr : reinterpret_cast<void*>(address);
}

inline void Unmap(void* address, size_t bytes) {
  const int saved_errno = errno;
  syscall(SYS_munmap, address, bytes);
  errno = saved_errno;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MAPPING_H_
