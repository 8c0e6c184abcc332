#include "shim/libc.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "shim/heap.h"
#include "shim/message.h"

extern "C" int posix_memalign(void**, size_t, size_t) noexcept;
extern "C" void* reallocarray(void*, size_t, size_t) noexcept;
extern "C" void* valloc(size_t) noexcept;
extern "C" void* pvalloc(size_t) noexcept;

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

void* LibcHandle() { return dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD); }

// Finds the function and makes sure that a jump fits into it.
bool FindCode(void* libc, Entry& entry) {
  void* code = dlsym(libc, entry.name);
  Dl_info info;
  ElfW(Sym)* symbol = nullptr;
  if (code == nullptr ||
      dladdr1(code, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) == 0 ||
      symbol == nullptr || symbol->st_size < kJumpBytes) {
    return false;
  }
  entry.code = static_cast<unsigned char*>(code);
  return true;
}

bool Protect(const unsigned char* code, int protection) {
  constexpr uintptr_t kPageMask = ~uintptr_t{4095};
  const uintptr_t start = reinterpret_cast<uintptr_t>(code) & kPageMask;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(code) + kJumpBytes + 4095) & kPageMask;
  return mprotect(reinterpret_cast<void*>(start), end - start, protection) == 0;
}

}  // namespace

void* NextSymbol(const char* name) { return dlsym(RTLD_NEXT, name); }

void ResolveLibc() {
  void* libc = LibcHandle();
  if (libc == nullptr) return;
  g_libc_malloc.free = reinterpret_cast<void (*)(void*)>(dlsym(libc, "free"));
  g_libc_malloc.usable_size =
      reinterpret_cast<size_t (*)(void*)>(dlsym(libc, "malloc_usable_size"));
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
  void* libc = LibcHandle();
  for (Entry& entry : entries) {
    if (libc == nullptr || !FindCode(libc, entry)) {
      Message("glibc's %s cannot be redirected: libraries that bind to it keep glibc's heap",
              entry.name);
      return false;
    }
  }
  for (const Entry& entry : entries) {
    if (!Protect(entry.code, PROT_READ | PROT_WRITE | PROT_EXEC)) {
      for (const Entry& done : entries) Protect(done.code, PROT_READ | PROT_EXEC);
      Message("glibc's text cannot be made writable: libraries that bind to its malloc keep "
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
  for (const Entry& entry : entries) Protect(entry.code, PROT_READ | PROT_EXEC);
  g_libc_redirected = true;
  return true;
}

}  // namespace taskmem
