#include "shim/mappings/libc_calls.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "shim/base/os.h"
#include "shim/glibc/libc.h"
#include "shim/mappings/mapping_ranges.h"
#include "shim/mappings/mappings.h"

// Jumped to, so that this is where the call to libc returns to.
#define CALLER __builtin_return_address(0)

namespace taskmem {
namespace {

// glibc's own calls have no cancellation, no hooks and no books: its stacks are not the program's
// mappings.
template <typename... Arguments>
long RawCall(long number, Arguments... arguments) {
  return os::Call(number, (long)arguments...);  // NOLINT: pointers and numbers alike
}

void* LibcMap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (IsLibcCode(CALLER)) {
    return AnswerAddress(RawCall(SYS_mmap, address, length, protection, flags, fd, offset));
  }
  return MapMemory(address, length, protection, flags, fd, offset, CALLER);
}

int LibcUnmap(void* address, size_t length) {
  if (IsLibcCode(CALLER)) return Answer(RawCall(SYS_munmap, address, length));
  return UnmapMemory(address, length);
}

void* LibcRemap(void* address, size_t old_length, size_t new_length, int flags, ...) {
  va_list list;
  va_start(list, flags);
  // Only with MREMAP_FIXED or MREMAP_DONTUNMAP; the kernel ignores it otherwise.
  void* const to = va_arg(list, void*);
  va_end(list);
  if (IsLibcCode(CALLER)) {
    return AnswerAddress(RawCall(SYS_mremap, address, old_length, new_length, flags, to));
  }
  return RemapMemory(address, old_length, new_length, flags, to);
}

int LibcProtect(void* address, size_t length, int protection) {
  if (IsLibcCode(CALLER)) return Answer(RawCall(SYS_mprotect, address, length, protection));
  return ProtectMemory(address, length, protection, kNoProtectionKey);
}

int LibcProtectByKey(void* address, size_t length, int protection, int key) {
  return ProtectMemory(address, length, protection, key);
}

int LibcAdvise(void* address, size_t length, int advice) {
  if (IsLibcCode(CALLER)) return Answer(RawCall(SYS_madvise, address, length, advice));
  return AdviseMemory(address, length, advice);
}

int LibcSetBreak(void* address) { return SetBreak(address, CALLER); }
void* LibcMoveBreak(intptr_t increment) { return MoveBreak(increment, CALLER); }
void* LibcAttach(int id, const void* address, int flags) {
  return AttachShared(id, address, flags, CALLER);
}
int LibcDetach(const void* address) { return DetachShared(address); }

}  // namespace

bool RedirectLibcMappings() {
  static const LibcRedirect kCalls[] = {
      {"mmap", reinterpret_cast<const void*>(LibcMap)},  // and mmap64, which is the same function
      {"munmap", reinterpret_cast<const void*>(LibcUnmap)},
      {"mremap", reinterpret_cast<const void*>(LibcRemap)},
      {"mprotect", reinterpret_cast<const void*>(LibcProtect)},
      {"pkey_mprotect", reinterpret_cast<const void*>(LibcProtectByKey)},
      {"madvise", reinterpret_cast<const void*>(LibcAdvise)},
      {"brk", reinterpret_cast<const void*>(LibcSetBreak)},
      {"sbrk", reinterpret_cast<const void*>(LibcMoveBreak)},
      {"shmat", reinterpret_cast<const void*>(LibcAttach)},
      {"shmdt", reinterpret_cast<const void*>(LibcDetach)},
  };
  return RedirectLibcCalls(kCalls, sizeof(kCalls) / sizeof(kCalls[0]), "mmap and its kin",
                           "mappings that are not charged");
}

}  // namespace taskmem
