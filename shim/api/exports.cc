// The rest of the malloc family and of operators new and delete: one line each
// that forwards (heap.h, operator_new.h).
#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#include "accounting/base/round_up.h"
#include "shim/api/operator_new.h"
#include "shim/base/message.h"
#include "shim/heap/heap.h"
#include "shim/published/stats_segment.h"

#define EXPORT __attribute__((visibility("default")))

namespace {

constexpr size_t kPage = 4096;

uint64_t ChargedBytes() {
  uint64_t bytes = 0;
  if (taskmem::g_stats == nullptr) return 0;
  const uint32_t slots = taskmem::g_stats->task_slots.load();
  for (uint32_t i = 0; i < slots; ++i) bytes += taskmem::g_books[i].charged_bytes.load();
  return bytes;
}

int PosixMemalign(void** result, size_t alignment, size_t size) {
  if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
    return EINVAL;
  }
  // Which leaves errno alone unless it fails: then, as with glibc, it says why as well.
  void* block = TaskmemMemalign(alignment, size);
  if (block == nullptr) return ENOMEM;
  *result = block;
  return 0;
}

void* PageAligned(size_t size) {
  if (size > SIZE_MAX - kPage) {
    errno = ENOMEM;
    return nullptr;
  }
  return TaskmemMemalign(kPage, taskmem::RoundUp(size));
}

}  // namespace

extern "C" {

EXPORT void* reallocarray(void* block, size_t count, size_t size) noexcept {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return TaskmemRealloc(block, bytes);
}

EXPORT int posix_memalign(void** result, size_t alignment, size_t size) noexcept {
  return PosixMemalign(result, alignment, size);
}
EXPORT int __posix_memalign(void** result, size_t alignment, size_t size) {
  return PosixMemalign(result, alignment, size);
}
EXPORT void* valloc(size_t size) noexcept { return TaskmemMemalign(kPage, size); }
EXPORT void* __libc_valloc(size_t size) { return TaskmemMemalign(kPage, size); }
EXPORT void* pvalloc(size_t size) noexcept { return PageAligned(size); }
EXPORT void* __libc_pvalloc(size_t size) { return PageAligned(size); }
EXPORT void free_sized(void* block, size_t) { TaskmemFree(block); }
EXPORT void free_aligned_sized(void* block, size_t, size_t) { TaskmemFree(block); }

// Tuning is glibc's; there is nothing here to tune.
EXPORT int mallopt(int, int) noexcept { return 1; }
EXPORT int malloc_trim(size_t) noexcept {
  taskmem::CollectEverything();
  return 1;
}
EXPORT struct mallinfo2 mallinfo2(void) noexcept {
  struct mallinfo2 info = {};
  info.arena = info.uordblks = ChargedBytes();
  return info;
}
EXPORT struct mallinfo mallinfo(void) noexcept {
  struct mallinfo info = {};
  const uint64_t bytes = ChargedBytes();
  info.arena = info.uordblks = bytes > INT32_MAX ? INT32_MAX : static_cast<int>(bytes);
  return info;
}
EXPORT int malloc_info(int options, FILE* stream) noexcept {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  fprintf(stream,
          "<malloc version=\"taskmem-1\"><system type=\"current\" size=\"%llu\"/></malloc>\n",
          static_cast<unsigned long long>(ChargedBytes()));
  return 0;
}
// Past stdio, whose writes are cancellation points; this is none.
EXPORT void malloc_stats(void) noexcept {
  taskmem::Message("%llu bytes charged", static_cast<unsigned long long>(ChargedBytes()));
}

// operator new, by mangled name: n/a = plain/array, m = size_t, St11align_val_t =
// std::align_val_t, RKSt9nothrow_t = const std::nothrow_t&.
EXPORT void* _ZnwmRKSt9nothrow_t(size_t size, const void*) { return taskmem::NewNothrow(size); }
EXPORT void* _ZnamRKSt9nothrow_t(size_t size, const void*) { return taskmem::NewNothrow(size); }
EXPORT void* _ZnwmSt11align_val_t(size_t size, size_t alignment) {
  return taskmem::NewAligned(size, alignment);
}
EXPORT void* _ZnamSt11align_val_t(size_t size, size_t alignment) {
  return taskmem::NewAligned(size, alignment);
}
EXPORT void* _ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void*) {
  return taskmem::NewAlignedNothrow(size, alignment);
}
EXPORT void* _ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void*) {
  return taskmem::NewAlignedNothrow(size, alignment);
}

EXPORT void _ZdlPvm(void* block, size_t) { TaskmemFree(block); }
EXPORT void _ZdaPvm(void* block, size_t) { TaskmemFree(block); }
EXPORT void _ZdlPvRKSt9nothrow_t(void* block, const void*) { TaskmemFree(block); }
EXPORT void _ZdaPvRKSt9nothrow_t(void* block, const void*) { TaskmemFree(block); }
EXPORT void _ZdlPvSt11align_val_t(void* block, size_t) { TaskmemFree(block); }
EXPORT void _ZdaPvSt11align_val_t(void* block, size_t) { TaskmemFree(block); }
EXPORT void _ZdlPvmSt11align_val_t(void* block, size_t, size_t) { TaskmemFree(block); }
EXPORT void _ZdaPvmSt11align_val_t(void* block, size_t, size_t) { TaskmemFree(block); }
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void* block, size_t, const void*) {
  TaskmemFree(block);
}
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void* block, size_t, const void*) {
  TaskmemFree(block);
}

}  // extern "C"
