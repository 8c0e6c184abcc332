#include "shim/mappings/mapping_class.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <atomic>

#include "shim/base/os.h"
#include "shim/mappings/mapping_ranges.h"
#include "spill/files/kept_in_memory.h"

namespace taskmem {
namespace {

bool GetStatus(int fd, struct stat* status) {
  return !os::IsSealed() && os::Call(SYS_fstat, fd, reinterpret_cast<long>(status)) == 0;
}

// /dev/zero: what is mapped of it is of no file.
bool IsZeroDevice(const struct stat& status) {
  constexpr dev_t kZeroDevice = 1 << 8 | 5;
  return S_ISCHR(status.st_mode) && status.st_rdev == kZeroDevice;
}

// A file without a name, in memory: memfd_create, or an unlinked one of a tmpfs.
bool IsMemoryFile(int fd) {
  struct stat status = {};
  if (!GetStatus(fd, &status)) return false;
  if (IsZeroDevice(status)) return true;
  if (!S_ISREG(status.st_mode) || status.st_nlink != 0) return false;
  struct statfs system = {};
  if (os::Call(SYS_fstatfs, fd, reinterpret_cast<long>(&system)) != 0) return false;
  return IsKeptInMemory(system);
}

// Of MAP_HUGETLB that names no size. Bytes.
uint64_t DefaultHugePage() {
  static std::atomic<uint64_t> known{0};
  uint64_t bytes = known.load(std::memory_order_relaxed);
  if (bytes != 0) return bytes;
  bytes = uint64_t{2} << 20;
  char text[4096];
  constexpr char kField[] = "Hugepagesize:";
  if (os::ReadFile("/proc/meminfo", text, sizeof(text)) > 0) {
    if (const char* const field = strstr(text, kField)) {
      const uint64_t kib = strtoull(field + sizeof(kField) - 1, nullptr, 10);
      if (kib != 0 && (kib & (kib - 1)) == 0) bytes = kib * 1024;
    }
  }
  known.store(bytes, std::memory_order_relaxed);
  return bytes;
}

}  // namespace

MappingClass ClassOfMapping(int flags, int fd) {
  const bool is_shared = (flags & MAP_TYPE) != MAP_PRIVATE;
  if ((flags & MAP_ANONYMOUS) != 0) {
    return is_shared ? MappingClass::kSharedAnonymous : MappingClass::kAnonymous;
  }
  if (!is_shared) {
    struct stat status = {};
    return GetStatus(fd, &status) && IsZeroDevice(status) ? MappingClass::kAnonymous
                                                          : MappingClass::kFilePrivate;
  }
  return IsMemoryFile(fd) ? MappingClass::kSharedAnonymous : MappingClass::kFileShared;
}

uint64_t MappedLength(size_t length, int flags) {
  if (__builtin_expect((flags & MAP_HUGETLB) == 0, 1)) return RoundUp(length);
  const int shift = flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
  return RoundUp(length, shift != 0 ? uint64_t{1} << shift : DefaultHugePage());
}

}  // namespace taskmem
