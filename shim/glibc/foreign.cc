#include <errno.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "shim/base/maps_file.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/small_space.h"
#include "shim/glibc/libc.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"

namespace taskmem {
namespace {

bool FindMapping(uintptr_t address, MapsLine* mapping, bool* is_break, bool* is_anonymous) {
  if (os::IsSealed()) return false;
  bool found = false;
  ForEachMapsLine([&](const MapsLine& line) {
    found = line.start <= address && address < line.end;
    if (!found) return true;
    *mapping = line;
    *is_break = strcmp(line.name, "[heap]") == 0;
    // Neither a path nor a name in brackets.
    *is_anonymous = strpbrk(line.name, "/[") == nullptr;
    return false;
  });
  return found;
}

// glibc's chunk header: flags in the low bits of the size before the block.
constexpr size_t kIsMapped = 2;
constexpr size_t kOtherArena = 4;
constexpr uintptr_t kArenaBytes = uintptr_t{64} << 20;

size_t ChunkSize(const void* block) { return static_cast<const size_t*>(block)[-1]; }

// Whether glibc's malloc made `block`: it lies in the break, in one of glibc's
// arenas, or is a mapped chunk by its header.
bool IsLibcBlock(const void* block) {
  const auto address = reinterpret_cast<uintptr_t>(block);
  constexpr int kReadWrite = PROT_READ | PROT_WRITE;
  MapsLine mapping = {};
  bool is_break = false;
  bool is_anonymous = false;
  if (address % 16 != 0 || !FindMapping(address, &mapping, &is_break, &is_anonymous) ||
      (mapping.protection & kReadWrite) != kReadWrite ||
      address - mapping.start < 2 * sizeof(size_t)) {
    return false;
  }
  if (is_break) return true;
  if (!is_anonymous) return false;
  const size_t size = ChunkSize(block);
  if ((size & kIsMapped) != 0) {
    const size_t before = static_cast<const size_t*>(block)[-2];
    return before < 4096 && (address - 2 * sizeof(size_t) - before) % 4096 == 0 &&
           ((size & ~size_t{7}) + before) % 4096 == 0;
  }
  return (size & kOtherArena) != 0 && mapping.start % kArenaBytes == 0;
}

size_t LibcUsableSize(const void* block) {
  const size_t size = ChunkSize(block);
  const size_t overhead = (size & kIsMapped) != 0 ? 2 * sizeof(size_t) : sizeof(size_t);
  return (size & ~size_t{7}) - overhead;
}

void ReportForeign(const char* function, const void* block) {
  Message("%s(%p): this address was never allocated; ignored", function, block);
}

}  // namespace

void ForeignFree(void* block) {
  if (g_libc_heap != nullptr) return g_libc_heap->free(block);
  const ErrnoKeeper keeper;
  if (!IsLibcBlock(block)) {
    ReportForeign("free", block);
  } else if (!g_libc_redirected && g_libc_malloc.free != nullptr) {
    g_libc_malloc.free(block);
  }
  // A block glibc made before it was redirected stays: nobody can take it back.
}

void* ForeignRealloc(void* block, size_t size) {
  if (g_libc_heap != nullptr) return g_libc_heap->realloc(block, size);
  if (!IsLibcBlock(block)) {
    ReportForeign("realloc", block);
    errno = ENOMEM;
    return nullptr;
  }
  if (size == 0) {
    ForeignFree(block);
    return nullptr;
  }
  void* moved = TaskmemMalloc(size);
  if (moved == nullptr) return nullptr;
  const size_t old_size = LibcUsableSize(block);
  memcpy(moved, block, old_size < size ? old_size : size);
  ForeignFree(block);
  return moved;
}

size_t ForeignUsableSize(void* block) {
  if (g_libc_heap != nullptr) return g_libc_heap->usable_size(block);
  return IsLibcBlock(block) ? LibcUsableSize(block) : 0;
}

void ReportDoubleFree(const void* block) {
  Message("free(%p): this block is free already; ignored", block);
}

}  // namespace taskmem
