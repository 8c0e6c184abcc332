#include "spill/overflow/mapped_run.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace taskmem {
namespace {

bool MapAt(uintptr_t start, size_t bytes, int protection, int flags, int fd, uint64_t offset) {
  return syscall(SYS_mmap, start, bytes, protection, flags | MAP_FIXED, fd, offset) != -1;
}

}  // namespace

int Advise(uintptr_t start, size_t bytes, int advice) {
  return static_cast<int>(syscall(SYS_madvise, start, bytes, advice));
}

bool MapFromFile(uintptr_t start, size_t bytes, int fd, uint64_t offset) {
  if (!MapAt(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)) return false;
  // Huge pages of the page cache would become resident 2 MiB at a touch.
  Advise(start, bytes, MADV_NOHUGEPAGE);
  if (Advise(start, bytes, MADV_DONTFORK) == 0) return true;
  MapNothing(start, bytes);
  return false;
}

bool MapPrivate(uintptr_t start, size_t bytes) {
  return MapAt(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

bool MapNothing(uintptr_t start, size_t bytes) {
  return MapAt(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

}  // namespace taskmem
