#include "shim/glibc/libc.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "shim/base/loaded_symbols.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
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

struct Entry {
  const char* name;
  void* target;
  unsigned char* code = nullptr;
};

// jmp *0(%rip), and the address.
constexpr unsigned char kJump[] = {0xff, 0x25, 0, 0, 0, 0};
constexpr size_t kJumpBytes = sizeof(kJump) + sizeof(void*);

LoadedSymbols LibcSymbols() {
  return LoadedSymbols::Around(reinterpret_cast<void*>(&_IO_list_lock));
}

// Finds the function and makes sure that a jump fits into it.
bool FindCode(const LoadedSymbols& libc, Entry& entry) {
  const LoadedSymbols::Function function = libc.Find(entry.name);
  if (function.bytes < kJumpBytes) return false;
  entry.code = function.code;
  return true;
}

// A run of pages with entries. They lie close together: one run, most often.
struct Run {
  uintptr_t start;
  uintptr_t end;
};

template <size_t kEntries>
size_t FindRuns(const Entry (&entries)[kEntries], Run (&runs)[kEntries]) {
  constexpr uintptr_t kPageBytes = 4096;
  constexpr uintptr_t kGapBytes = 4 * kPageBytes;
  size_t count = 0;
  for (const Entry& entry : entries) {
    const auto code = reinterpret_cast<uintptr_t>(entry.code);
    Run run = {code & ~(kPageBytes - 1), (code + kJumpBytes + kPageBytes - 1) & ~(kPageBytes - 1)};
    // What it touches joins it.
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
      if (runs[i].start <= run.end + kGapBytes && run.start <= runs[i].end + kGapBytes) {
        if (runs[i].start < run.start) run.start = runs[i].start;
        if (runs[i].end > run.end) run.end = runs[i].end;
      } else {
        runs[kept++] = runs[i];
      }
    }
    runs[kept] = run;
    count = kept + 1;
  }
  return count;
}

bool Protect(const Run& run, int protection) {
  return !os::Failed(os::Call(SYS_mprotect, static_cast<long>(run.start),
                              static_cast<long>(run.end - run.start), protection));
}

}  // namespace

void ResolveLibc() {
  const LoadedSymbols libc = LibcSymbols();
  g_libc_malloc.free = reinterpret_cast<void (*)(void*)>(libc.Find("free").code);
  g_libc_malloc.usable_size =
      reinterpret_cast<size_t (*)(void*)>(libc.Find("malloc_usable_size").code);
}

bool RedirectLibc() {
  Entry entries[] = {
      {"malloc", reinterpret_cast<void*>(TaskmemMalloc)},
      {"free", reinterpret_cast<void*>(TaskmemFree)},
      {"calloc", reinterpret_cast<void*>(TaskmemCalloc)},
      {"realloc", reinterpret_cast<void*>(TaskmemRealloc)},
      {"memalign", reinterpret_cast<void*>(TaskmemMemalign)},
      {"aligned_alloc", reinterpret_cast<void*>(TaskmemMemalign)},
      {"posix_memalign", reinterpret_cast<void*>(posix_memalign)},
      {"valloc", reinterpret_cast<void*>(valloc)},
      {"pvalloc", reinterpret_cast<void*>(pvalloc)},
      {"malloc_usable_size", reinterpret_cast<void*>(TaskmemUsableSize)},
  };
  const LoadedSymbols libc = LibcSymbols();
  for (Entry& entry : entries) {
    if (!FindCode(libc, entry)) {
      Message("glibc's %s cannot be redirected: libraries that bind to it keep glibc's heap",
              entry.name);
      return false;
    }
  }
  Run runs[sizeof(entries) / sizeof(entries[0])];
  const size_t count = FindRuns(entries, runs);
  const auto close = [&] {
    for (size_t i = 0; i < count; ++i) Protect(runs[i], PROT_READ | PROT_EXEC);
  };
  for (size_t i = 0; i < count; ++i) {
    if (!Protect(runs[i], PROT_READ | PROT_WRITE | PROT_EXEC)) {
      close();
      Message(
          "glibc's text cannot be made writable: libraries that bind to its malloc keep "
          "glibc's heap");
      return false;
    }
  }
  // Until the last jump stands, blocks of glibc's heap may still be made; there
  // is one thread, and it is here.
  for (const Entry& entry : entries) {
    memcpy(entry.code, kJump, sizeof(kJump));
    memcpy(entry.code + sizeof(kJump), &entry.target, sizeof(entry.target));
  }
  close();
  g_libc_redirected = true;
  return true;
}

}  // namespace taskmem
