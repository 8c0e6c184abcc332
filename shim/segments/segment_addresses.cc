#include "shim/segments/segment_addresses.h"

#include <sys/mman.h>

#include "shim/base/os.h"
#include "shim/heap/heap.h"

namespace taskmem {

char* ReserveAligned(size_t bytes, size_t alignment, size_t align_offset, int protection) {
  size_t length = 0;
  if (__builtin_add_overflow(bytes, alignment, &length)) return nullptr;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS |
                    (protection == PROT_NONE || _mi_os_has_overcommit() ? MAP_NORESERVE : 0);
  const auto map = [&] {
    return os::Call(SYS_mmap, 0, static_cast<long>(length), protection, flags, -1, 0);
  };
  long mapped = map();
  // Where the process may have few addresses, those of what is kept count as well.
  if (os::Failed(mapped) && HasKeptMemory()) {
    LetKeptMemoryGo(/*all=*/true);
    mapped = map();
  }
  if (os::Failed(mapped)) return nullptr;
  auto* const first = reinterpret_cast<char*>(mapped);
  const uintptr_t aligned =
      _mi_align_up(reinterpret_cast<uintptr_t>(first) + align_offset, alignment) - align_offset;
  auto* const start = reinterpret_cast<char*>(aligned);
  if (start > first) os::Unmap(first, static_cast<size_t>(start - first));
  if (start + bytes < first + length) {
    os::Unmap(start + bytes, static_cast<size_t>(first + length - (start + bytes)));
  }
  return start;
}

bool DropPages(char* start, size_t bytes) {
  const auto address = reinterpret_cast<long>(start);
  const auto length = static_cast<long>(bytes);
  if (!os::IsSealed()) {
    return !os::Failed(os::Call(SYS_madvise, address, length, MADV_DONTNEED));
  }
  return !os::Failed(os::Call(SYS_mmap, address, length, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
}

void AskForHugePages(char* segment, size_t bytes) {
  constexpr size_t kHugePage = 2 << 20;
  const size_t whole = bytes & ~(kHugePage - 1);
  if (whole == 0 || os::IsSealed()) return;
  os::Call(SYS_madvise, reinterpret_cast<long>(segment), static_cast<long>(whole), MADV_HUGEPAGE);
}

}  // namespace taskmem
