// The malloc family (heap/heap.h), to glibc's contract for errno, size 0, overflow and alignment.
#include <errno.h>

#include <cstring>

#include "shim/base/small_space.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/large/grow.h"
#include "shim/malloc/aligned.h"
#include "shim/malloc/fast_path.h"
#include "shim/malloc/free_slow.h"
#include "shim/malloc/realloc.h"
#include "shim/malloc/slow_path.h"
#include "shim/segments/segment_map.h"

extern "C" {

TASKMEM_FAST void* TaskmemMallocMedium(size_t size) {
  void* block = taskmem::PopMedium(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return taskmem::MallocSlow(size);
}

TASKMEM_FAST void* TaskmemMalloc(size_t size) {
  if (__builtin_expect(size > MI_SMALL_SIZE_MAX, 0)) return TaskmemMallocMedium(size);
  void* block = taskmem::PopSmall(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return taskmem::MallocSlow(size);
}

TASKMEM_FAST void* TaskmemMallocOptional(size_t size) {
  void* block = taskmem::PopSmall(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return taskmem::AllocateOptional(size);
}

// Of this thread's context, in a shared page.
TASKMEM_FAST void TaskmemFreeShared(void* block, mi_page_t* page) {
  if (__builtin_expect(taskmem::PushShared(page, block), 1)) return;
  taskmem::FreeLocalSlow(block, page);
}

TASKMEM_FAST void TaskmemFree(void* block) {
  const uint32_t slice = taskmem::SliceNumber(block);
  if (__builtin_expect(!taskmem::IsLocal(slice), 0)) return taskmem::FreeElsewhere(block);
  mi_page_t* page = taskmem::PageOf(block, slice);
  if (__builtin_expect(taskmem::PushLocal(page, block), 1)) return;
  if (taskmem::IsShared(page)) return TaskmemFreeShared(block, page);
  taskmem::FreeLocalSlow(block, page);
}

TASKMEM_FAST void* TaskmemCallocMedium(size_t bytes) {
  void* block = taskmem::PopMedium(bytes);
  if (__builtin_expect(block == nullptr, 0)) return taskmem::CallocSlow(bytes);
  return memset(block, 0, bytes);
}

TASKMEM_FAST void* TaskmemCalloc(size_t count, size_t size) {
  size_t bytes = 0;
  if (__builtin_expect(__builtin_mul_overflow(count, size, &bytes), 0)) {
    errno = ENOMEM;
    return nullptr;
  }
  if (__builtin_expect(bytes > MI_SMALL_SIZE_MAX, 0)) return TaskmemCallocMedium(bytes);
  void* block = taskmem::PopSmall(bytes);
  if (__builtin_expect(block == nullptr, 0)) return taskmem::CallocSlow(bytes);
  return memset(block, 0, bytes < sizeof(mi_block_t) ? sizeof(mi_block_t) : bytes);
}

void* TaskmemRealloc(void* block, size_t size) {
  if (block == nullptr) return TaskmemMalloc(size);
  if (!taskmem::InSegment(block)) return taskmem::ForeignRealloc(block, size);
  if (size == 0) {
    TaskmemFree(block);
    return nullptr;
  }
  const mi_segment_t* segment = _mi_ptr_segment(block);
  const mi_page_t* page = _mi_segment_page_of(segment, block);
  if (__builtin_expect(taskmem::HasPageForItself(segment, page), 0)) {
    return taskmem::ReallocLarge(block, size);
  }
  const size_t old_size =
      mi_page_has_aligned(const_cast<mi_page_t*>(page)) ? mi_usable_size(block) : page->xblock_size;
  if (size > old_size) return taskmem::MoveLarger(block, old_size, size);
  if (size >= old_size / 2) return block;
  return taskmem::MoveSmaller(block, size);
}

void* TaskmemMemalign(size_t alignment, size_t size) {
  constexpr size_t kMallocAlignment = 16;
  if (alignment > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return nullptr;
  }
  // glibc rounds an alignment that is no power of two up.
  if (alignment <= kMallocAlignment) {
    return TaskmemMalloc(size < kMallocAlignment ? kMallocAlignment : size);
  }
  const size_t power = size_t{1} << (64 - __builtin_clzl(alignment - 1));
  if (__builtin_expect(taskmem::g_libc_heap != nullptr, 0)) {
    return taskmem::g_libc_heap->memalign(power, size);
  }
  // Every block of most classes is aligned (aligned.h).
  const size_t rounded = (size + power - 1) & ~(power - 1);
  if (size - 1 < MI_MEDIUM_OBJ_SIZE_MAX && power <= taskmem::kPageAlignment &&
      (power <= taskmem::kSmallPageAlignment || rounded > taskmem::kLargestSmallClass)) {
    return TaskmemMalloc(rounded);
  }
  void* block = taskmem::MemalignSlow(size, power);
  return __builtin_expect(block != nullptr, 1) ? block : taskmem::Failed();
}

size_t TaskmemUsableSize(void* block) {
  if (block == nullptr) return 0;
  if (!taskmem::InSegment(block)) return taskmem::ForeignUsableSize(block);
  return taskmem::UsableSize(block);
}

TASKMEM_FAST void* TaskmemNewMedium(size_t size) {
  void* block = taskmem::PopMedium(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return TaskmemNewSlow(size);
}

// The operators' fast path; the rest is operator_new.cc's.
TASKMEM_FAST void* TaskmemNew(size_t size) {
  if (__builtin_expect(size > MI_SMALL_SIZE_MAX, 0)) return TaskmemNewMedium(size);
  void* block = taskmem::PopSmall(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return TaskmemNewSlow(size);
}

}  // extern "C"

#define TASKMEM_EXPORT(target) __attribute__((alias(#target), visibility("default"), used))

// The malloc family under its exported names. Aliases, because a forwarding jump on every malloc
// can be measured.
extern "C" {

void* malloc(size_t size) noexcept TASKMEM_EXPORT(TaskmemMalloc);
void free(void* block) noexcept TASKMEM_EXPORT(TaskmemFree);
void* calloc(size_t count, size_t size) noexcept TASKMEM_EXPORT(TaskmemCalloc);
void* realloc(void* block, size_t size) noexcept TASKMEM_EXPORT(TaskmemRealloc);
void* memalign(size_t alignment, size_t size) noexcept TASKMEM_EXPORT(TaskmemMemalign);
void* aligned_alloc(size_t alignment, size_t size) noexcept TASKMEM_EXPORT(TaskmemMemalign);
size_t malloc_usable_size(void* block) noexcept TASKMEM_EXPORT(TaskmemUsableSize);

// glibc's own names, which some programs call to get behind an interposed malloc.
void* __libc_malloc(size_t size) TASKMEM_EXPORT(TaskmemMalloc);
void __libc_free(void* block) TASKMEM_EXPORT(TaskmemFree);
void* __libc_calloc(size_t count, size_t size) TASKMEM_EXPORT(TaskmemCalloc);
void* __libc_realloc(void* block, size_t size) TASKMEM_EXPORT(TaskmemRealloc);
void* __libc_memalign(size_t alignment, size_t size) TASKMEM_EXPORT(TaskmemMemalign);
void cfree(void* block) TASKMEM_EXPORT(TaskmemFree);
void __libc_cfree(void* block) TASKMEM_EXPORT(TaskmemFree);

// operator new(size_t) and new[]; operator delete(void*) and delete[]. By their
// mangled names: an alias of an operator cannot be declared otherwise.
void* _Znwm(size_t size) TASKMEM_EXPORT(TaskmemNew);
void* _Znam(size_t size) TASKMEM_EXPORT(TaskmemNew);
void _ZdlPv(void* block) TASKMEM_EXPORT(TaskmemFree);
void _ZdaPv(void* block) TASKMEM_EXPORT(TaskmemFree);

}  // extern "C"

#undef TASKMEM_EXPORT
