#include "shim/adopt/jemalloc_calls.h"

#include <errno.h>
#include <unistd.h>

#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "shim/adopt/adopted_bytes.h"
#include "shim/adopt/mallctl.h"
#include "shim/base/os.h"
#include "shim/heap/heap.h"

namespace taskmem::adopt {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr int kZero = 64;

// Whether every block of that size has that alignment.
bool HasAnyway(size_t alignment, size_t size) {
  return alignment <= 8 || (alignment <= 16 && size > 8);
}

// The lowest six bits of `flags` are the binary logarithm of the alignment, the next asks for
// zeroes.
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
  void* const moved = HasAnyway(alignment, size) ? TaskmemRealloc(block, size == 0 ? 1 : size)
                                                 : TaskmemReallocAligned(block, size, alignment);
  if (moved != nullptr && zero && size > old_size) {
    memset(static_cast<char*>(moved) + old_size, 0, size - old_size);
  }
  return moved;
}

// A compiler that sees the allocator's function knows how little of the stack's alignment it needs,
// and its callers in the same file may give it no more.
#define TASKMEM_ENTRY __attribute__((force_align_arg_pointer))

bool g_arrow_has_huge_pages = false;

// The functions of one adopter.
template <uint32_t kAdopter>
struct Calls {
  static void* Taken(void* block) {
    if constexpr (kAdopter != kUncounted) {
      if (block != nullptr) CountTaken<kAdopter>(TaskmemUsableSize(block));
    }
    return block;
  }

  static void GiveBack(void* block) {
    if constexpr (kAdopter != kUncounted) {
      if (block != nullptr) CountGiven<kAdopter>(TaskmemUsableSize(block));
    }
    TaskmemFree(block);
  }

  template <typename Reallocate>
  static void* Moved(void* block, Reallocate reallocate) {
    if constexpr (kAdopter == kUncounted) {
      return reallocate();
    } else {
      const size_t old_size = block != nullptr ? TaskmemUsableSize(block) : 0;
      void* const moved = reallocate();
      if (moved != nullptr) {
        CountGiven<kAdopter>(old_size);
        CountTaken<kAdopter>(TaskmemUsableSize(moved));
      }
      return moved;
    }
  }

  TASKMEM_ENTRY static void* Malloc(size_t size) { return Taken(TaskmemMalloc(size)); }
  TASKMEM_ENTRY static void* Calloc(size_t count, size_t size) {
    return Taken(TaskmemCalloc(count, size));
  }
  TASKMEM_ENTRY static void* Realloc(void* block, size_t size) {
    if (size == 0 && block != nullptr) {
      GiveBack(block);
      return nullptr;
    }
    return Moved(block, [=] { return TaskmemRealloc(block, size); });
  }
  TASKMEM_ENTRY static void Free(void* block) { GiveBack(block); }
  TASKMEM_ENTRY static void FreeSized(void* block, size_t) { GiveBack(block); }
  TASKMEM_ENTRY static void FreeAlignedSized(void* block, size_t, size_t) { GiveBack(block); }

  TASKMEM_ENTRY static int PosixMemalign(void** block, size_t alignment, size_t size) {
    if (alignment % sizeof(void*) != 0 || !IsPowerOfTwo(alignment)) return EINVAL;
    const ErrnoKeeper keeper;
    void* const got = Taken(TaskmemMemalign(alignment, size));
    if (got == nullptr) return ENOMEM;
    *block = got;
    return 0;
  }

  TASKMEM_ENTRY static void* Memalign(size_t alignment, size_t size) {
    if (!IsPowerOfTwo(alignment)) {
      errno = EINVAL;
      return nullptr;
    }
    return Taken(TaskmemMemalign(alignment, size));
  }

  TASKMEM_ENTRY static void* Valloc(size_t size) {
    return Taken(TaskmemMemalign(kPageBytes, size));
  }
  TASKMEM_ENTRY static size_t UsableSize(void* block) {
    return block == nullptr ? 0 : TaskmemUsableSize(block);
  }

  TASKMEM_ENTRY static void* Mallocx(size_t size, int flags) {
    return Taken(AllocateAligned(AlignmentOf(flags), size, (flags & kZero) != 0));
  }
  TASKMEM_ENTRY static void* Rallocx(void* block, size_t size, int flags) {
    return Moved(block, [=] {
      return ReallocateAligned(block, size, AlignmentOf(flags), (flags & kZero) != 0);
    });
  }
  // Never moves and never shrinks: the answer is the size that is there.
  TASKMEM_ENTRY static size_t Xallocx(void* block, size_t, size_t, int) {
    return TaskmemUsableSize(block);
  }
  TASKMEM_ENTRY static size_t Sallocx(void* block, int) { return TaskmemUsableSize(block); }
  TASKMEM_ENTRY static void Dallocx(void* block, int) { GiveBack(block); }
  TASKMEM_ENTRY static void Sdallocx(void* block, size_t, int) { GiveBack(block); }
  // What may be used of a block of `size` in any case.
  TASKMEM_ENTRY static size_t Nallocx(size_t size, int) { return size > PTRDIFF_MAX ? 0 : size; }

  TASKMEM_ENTRY static int Mallctl(const char* name, void* old_value, size_t* old_bytes,
                                   void* new_value, size_t new_bytes) {
    return ControlByName(kAdopter, name, {old_value, old_bytes, new_value, new_bytes});
  }
  TASKMEM_ENTRY static int MallctlByMib(const size_t* mib, size_t length, void* old_value,
                                        size_t* old_bytes, void* new_value, size_t new_bytes) {
    return ControlByMib(kAdopter, mib, length, {old_value, old_bytes, new_value, new_bytes});
  }

  // The library's own would look for arenas, of which there are none.
  TASKMEM_ENTRY static void StatsPrint(void (*write)(void*, const char*), void* opaque,
                                       const char*) {
    constexpr char kText[] = "This jemalloc is adopted by taskmem, whose stats have its figures.\n";
    if (write != nullptr) return write(opaque, kText);
    os::Call(SYS_write, STDERR_FILENO, reinterpret_cast<long>(kText), sizeof(kText) - 1);
  }

  // mimalloc's, with the alignment last.
  TASKMEM_ENTRY static void* MallocAligned(size_t size, size_t alignment) {
    const HugePages scope(g_arrow_has_huge_pages ? size : 0);
    return Taken(AllocateAligned(alignment, size, false));
  }
  TASKMEM_ENTRY static void* ReallocAligned(void* block, size_t size, size_t alignment) {
    const HugePages scope(g_arrow_has_huge_pages ? size : 0);
    return Moved(block, [=] { return ReallocateAligned(block, size, alignment, false); });
  }
};

template <typename Function>
const void* Code(Function* function) {
  return reinterpret_cast<const void*>(function);
}

template <uint32_t kAdopter>
const void* const* JemallocOf() {
  // Filled in by the first call: nothing may wait for a constructor here (at_start.h).
  static const void* const kTargets[kJemallocFunctionCount] = {
      Code(Calls<kAdopter>::Malloc),
      Code(Calls<kAdopter>::Calloc),
      Code(Calls<kAdopter>::Realloc),
      Code(Calls<kAdopter>::Free),
      Code(Calls<kAdopter>::PosixMemalign),
      Code(Calls<kAdopter>::Memalign),
      Code(Calls<kAdopter>::Mallocx),
      Code(Calls<kAdopter>::Rallocx),
      Code(Calls<kAdopter>::Xallocx),
      Code(Calls<kAdopter>::Sallocx),
      Code(Calls<kAdopter>::Dallocx),
      Code(Calls<kAdopter>::Sdallocx),
      Code(Calls<kAdopter>::Nallocx),
      Code(Calls<kAdopter>::UsableSize),
      Code(Calls<kAdopter>::Memalign),
      Code(Calls<kAdopter>::Valloc),
      Code(Calls<kAdopter>::Valloc),
      Code(Calls<kAdopter>::UsableSize),
      Code(Calls<kAdopter>::FreeSized),
      Code(Calls<kAdopter>::FreeAlignedSized),
      Code(Calls<kAdopter>::Malloc),
      Code(Calls<kAdopter>::Free),
      Code(Calls<kAdopter>::Sdallocx),
      Code(Calls<kAdopter>::Mallctl),
      Code(NameToMib),
      Code(Calls<kAdopter>::MallctlByMib),
      Code(Calls<kAdopter>::StatsPrint),
  };
  return kTargets;
}

template <uint32_t kAdopter>
const void* const* ArrowMimallocOf() {
  static const void* const kTargets[kArrowMimallocFunctionCount] = {
      Code(Calls<kAdopter>::MallocAligned),
      Code(Calls<kAdopter>::ReallocAligned),
      Code(Calls<kAdopter>::Free),
  };
  return kTargets;
}

static_assert(kMostAdopters == 8 && kUncounted == 8);

}  // namespace

void GiveArrowHugePages() { g_arrow_has_huge_pages = true; }

const void* const* JemallocTargets(uint32_t adopter) {
  static const void* const* (*const kOf[])() = {
      JemallocOf<0>, JemallocOf<1>, JemallocOf<2>, JemallocOf<3>,         JemallocOf<4>,
      JemallocOf<5>, JemallocOf<6>, JemallocOf<7>, JemallocOf<kUncounted>};
  return kOf[adopter < kUncounted ? adopter : kUncounted]();
}

const void* const* ArrowMimallocTargets(uint32_t adopter) {
  static const void* const* (*const kOf[])() = {
      ArrowMimallocOf<0>, ArrowMimallocOf<1>, ArrowMimallocOf<2>,
      ArrowMimallocOf<3>, ArrowMimallocOf<4>, ArrowMimallocOf<5>,
      ArrowMimallocOf<6>, ArrowMimallocOf<7>, ArrowMimallocOf<kUncounted>};
  return kOf[adopter < kUncounted ? adopter : kUncounted]();
}

}  // namespace taskmem::adopt
