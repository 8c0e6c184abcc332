#include "shim/adopt/jemalloc_calls.h"

#include <errno.h>

#include <cstdint>
#include <cstring>

#include "shim/heap/heap.h"

namespace taskmem::adopt {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr int kZero = 64;

// Whether every block of that size has that alignment.
bool HasAnyway(size_t alignment, size_t size) {
  return alignment <= 8 || (alignment <= 16 && size > 8);
}

size_t AlignmentOf(int flags) {
  const int logarithm = flags & 63;
  return logarithm == 0 ? 1 : size_t{1} << logarithm;
}

bool IsPowerOfTwo(size_t number) { return number != 0 && (number & (number - 1)) == 0; }

void* AllocateAligned(size_t alignment, size_t size, bool zero) {
  if (HasAnyway(alignment, size)) {
    return zero ? TaskmemCalloc(1, size) : TaskmemMalloc(size);
  }
  void* const block = TaskmemMemalign(alignment, size);
  if (block != nullptr && zero) memset(block, 0, size);
  return block;
}

void* ReallocateAligned(void* block, size_t size, size_t alignment, bool zero) {
  if (block == nullptr) return AllocateAligned(alignment, size, zero);
  const size_t old_size = TaskmemUsableSize(block);
  if (HasAnyway(alignment, size)) {
    auto* const moved = static_cast<char*>(TaskmemRealloc(block, size == 0 ? 1 : size));
    if (moved != nullptr && zero && size > old_size) memset(moved + old_size, 0, size - old_size);
    return moved;
  }
  if (reinterpret_cast<uintptr_t>(block) % alignment == 0 && size <= old_size &&
      size >= old_size / 2) {
    return block;
  }
  void* const moved = AllocateAligned(alignment, size, zero);
  if (moved == nullptr) return nullptr;
  memcpy(moved, block, old_size < size ? old_size : size);
  TaskmemFree(block);
  return moved;
}

}  // namespace

void* Malloc(size_t size) { return TaskmemMalloc(size); }
void* Calloc(size_t count, size_t size) { return TaskmemCalloc(count, size); }
void* Realloc(void* block, size_t size) { return TaskmemRealloc(block, size); }
void Free(void* block) { TaskmemFree(block); }
void FreeSized(void* block, size_t) { TaskmemFree(block); }
void FreeAlignedSized(void* block, size_t, size_t) { TaskmemFree(block); }

int PosixMemalign(void** block, size_t alignment, size_t size) {
  if (alignment % sizeof(void*) != 0 || !IsPowerOfTwo(alignment)) return EINVAL;
  const int errno_before = errno;
  void* const got = TaskmemMemalign(alignment, size);
  errno = errno_before;
  if (got == nullptr) return ENOMEM;
  *block = got;
  return 0;
}

void* Memalign(size_t alignment, size_t size) {
  if (!IsPowerOfTwo(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return TaskmemMemalign(alignment, size);
}

void* Valloc(size_t size) { return TaskmemMemalign(kPageBytes, size); }
size_t UsableSize(void* block) { return block == nullptr ? 0 : TaskmemUsableSize(block); }

void* Mallocx(size_t size, int flags) {
  return AllocateAligned(AlignmentOf(flags), size, (flags & kZero) != 0);
}
void* Rallocx(void* block, size_t size, int flags) {
  return ReallocateAligned(block, size, AlignmentOf(flags), (flags & kZero) != 0);
}
size_t Xallocx(void* block, size_t, size_t, int) { return TaskmemUsableSize(block); }
size_t Sallocx(void* block, int) { return TaskmemUsableSize(block); }
void Dallocx(void* block, int) { TaskmemFree(block); }
void Sdallocx(void* block, size_t, int) { TaskmemFree(block); }
size_t Nallocx(size_t size, int) { return size > PTRDIFF_MAX ? 0 : size; }

void* MallocAligned(size_t size, size_t alignment) {
  return AllocateAligned(alignment, size, false);
}
void* ReallocAligned(void* block, size_t size, size_t alignment) {
  return ReallocateAligned(block, size, alignment, false);
}

}  // namespace taskmem::adopt
