#include "shim/glibc/libc.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstring>

#include "shim/base/loaded_symbols.h"
#include "shim/base/message.h"
#include "shim/code/code_patch.h"
#include "shim/heap/heap.h"

extern "C" int posix_memalign(void**, size_t, size_t) noexcept;
extern "C" void* reallocarray(void*, size_t, size_t) noexcept;
extern "C" void* valloc(size_t) noexcept;
extern "C" void* pvalloc(size_t) noexcept;
// In glibc, and in nothing that comes before it.
extern "C" void _IO_list_lock();

namespace taskmem {

LibcMalloc g_libc_malloc = {};
bool g_libc_redirected = false;

namespace {

// Where libc's own image lies; nothing until ResolveLibc.
uintptr_t g_libc_start = 0;
uintptr_t g_libc_end = 0;

LoadedSymbols LibcSymbols() {
  return LoadedSymbols::Around(reinterpret_cast<void*>(&_IO_list_lock));
}

}  // namespace

void ResolveLibc() {
  const LoadedSymbols libc = LibcSymbols();
  g_libc_malloc.free = reinterpret_cast<void (*)(void*)>(libc.Find("free").code);
  g_libc_malloc.usable_size =
      reinterpret_cast<size_t (*)(void*)>(libc.Find("malloc_usable_size").code);
  dl_find_object found;
  if (_dl_find_object(reinterpret_cast<void*>(&_IO_list_lock), &found) == 0) {
    g_libc_start = reinterpret_cast<uintptr_t>(found.dlfo_map_start);
    g_libc_end = reinterpret_cast<uintptr_t>(found.dlfo_map_end);
  }
}

bool RedirectLibc() {
  static const LibcRedirect kCalls[] = {
      {"malloc", reinterpret_cast<const void*>(TaskmemMalloc)},
      {"free", reinterpret_cast<const void*>(TaskmemFree)},
      {"calloc", reinterpret_cast<const void*>(TaskmemCalloc)},
      {"realloc", reinterpret_cast<const void*>(TaskmemRealloc)},
      {"memalign", reinterpret_cast<const void*>(TaskmemMemalign)},
      {"aligned_alloc", reinterpret_cast<const void*>(TaskmemMemalign)},
      {"posix_memalign", reinterpret_cast<const void*>(posix_memalign)},
      {"valloc", reinterpret_cast<const void*>(valloc)},
      {"pvalloc", reinterpret_cast<const void*>(pvalloc)},
      {"malloc_usable_size", reinterpret_cast<const void*>(TaskmemUsableSize)},
  };
  if (!RedirectLibcCalls(kCalls, sizeof(kCalls) / sizeof(kCalls[0]), "malloc", "glibc's heap")) {
    return false;
  }
  g_libc_redirected = true;
  return true;
}

bool RedirectLibcCalls(const LibcRedirect* calls, size_t count, const char* what,
                       const char* kept) {
  const LoadedSymbols libc = LibcSymbols();
  CodePatch patches[kMostPatches];
  for (size_t i = 0; i < count; ++i) {
    const LoadedSymbols::Function function = libc.Find(calls[i].name);
    if (function.bytes < kFarJumpBytes) {
      Message("glibc's %s cannot be redirected: libraries that bind to it keep %s", calls[i].name,
              kept);
      return false;
    }
    patches[i] = {function.code, calls[i].target};
  }
  // Until the last jump stands, blocks of glibc's heap may still be made; there
  // is one thread, and it is here.
  if (WriteFarJumps(patches, count, CodeUse::kRunning)) return true;
  Message("glibc's text cannot be made writable: libraries that bind to its %s keep %s", what,
          kept);
  return false;
}

bool IsLibcCode(const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  return g_libc_start <= at && at < g_libc_end;
}

}  // namespace taskmem
