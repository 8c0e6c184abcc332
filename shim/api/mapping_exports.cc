// The mapping calls under their exported names: one line each that forwards (mappings.h).
#include <stdarg.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "shim/mappings/mappings.h"

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

using namespace taskmem;

extern "C" {

EXPORT void* mmap(void* address, size_t length, int protection, int flags, int fd,
                  off_t offset) noexcept {
  return MapMemory(address, length, protection, flags, fd, offset, CALLER);
}
EXPORT void* mmap64(void* address, size_t length, int protection, int flags, int fd,
                    off_t offset) noexcept {
  return MapMemory(address, length, protection, flags, fd, offset, CALLER);
}
EXPORT int munmap(void* address, size_t length) noexcept { return UnmapMemory(address, length); }
EXPORT void* mremap(void* address, size_t old_length, size_t new_length, int flags, ...) noexcept {
  va_list list;
  va_start(list, flags);
  // Only with MREMAP_FIXED or MREMAP_DONTUNMAP; the kernel ignores it otherwise.
  void* const to = va_arg(list, void*);
  va_end(list);
  return RemapMemory(address, old_length, new_length, flags, to);
}
EXPORT int mprotect(void* address, size_t length, int protection) noexcept {
  return ProtectMemory(address, length, protection, kNoProtectionKey);
}
EXPORT int pkey_mprotect(void* address, size_t length, int protection, int key) noexcept {
  return ProtectMemory(address, length, protection, key);
}
EXPORT int madvise(void* address, size_t length, int advice) noexcept {
  return AdviseMemory(address, length, advice);
}
EXPORT int brk(void* address) noexcept { return SetBreak(address, CALLER); }
EXPORT void* sbrk(intptr_t increment) noexcept { return MoveBreak(increment, CALLER); }
EXPORT void* shmat(int id, const void* address, int flags) noexcept {
  return AttachShared(id, address, flags, CALLER);
}
EXPORT int shmdt(const void* address) noexcept { return DetachShared(address); }

}  // extern "C"
