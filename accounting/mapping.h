// Memory straight from the kernel, for what works below malloc and cannot be bounded.
#ifndef TASKMEM_ACCOUNTING_MAPPING_H_
#define TASKMEM_ACCOUNTING_MAPPING_H_

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace taskmem {

// Told of what is mapped, and of what is about to be unmapped, where somebody lists that. Set
// before there are threads.
inline void (*g_mapping_observer)(const void* start, size_t bytes, bool is_mapped) = nullptr;

// By system call: mmap itself may be interposed by whoever uses this. Both keep errno.

// Zeroed memory, aligned to a page of the machine; nullptr: there is none.
inline void* MapZeroed(size_t bytes) {
  const int saved_errno = errno;
  const long address = syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  errno = saved_errno;
  if (address == -1) return nullptr;
  auto* const mapped = reinterpret_cast<void*>(address);
  if (g_mapping_observer != nullptr) g_mapping_observer(mapped, bytes, true);
  return mapped;
}

inline void Unmap(void* address, size_t bytes) {
  const int saved_errno = errno;
  if (g_mapping_observer != nullptr) g_mapping_observer(address, bytes, false);
  syscall(SYS_munmap, address, bytes);
  errno = saved_errno;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MAPPING_H_
