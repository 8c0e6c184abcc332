// glibc: its own malloc entry points, and the functions the library wraps.
#ifndef TASKMEM_SHIM_GLIBC_LIBC_H_
#define TASKMEM_SHIM_GLIBC_LIBC_H_

#include <cstddef>

namespace taskmem {

// glibc's own, unwrapped; null until ResolveLibc.
struct LibcMalloc {
  void (*free)(void*);
  size_t (*usable_size)(void*);
};
extern LibcMalloc g_libc_malloc;
// glibc's entry points jump to ours: calling them would come back.
extern bool g_libc_redirected;

// Called by the constructor, before there are threads.
void ResolveLibc();

// Writes jumps from glibc's malloc entry points to ours, so that code that binds
// to them (RTLD_DEEPBIND, RTLD_NEXT) gets our blocks too. All or nothing. False,
// after one line, where glibc's text cannot be changed.
bool RedirectLibc();

// The same for other functions of glibc's: at most kMostPatches (code_patch.h). What the line says:
// libraries that bind to its `what` keep `kept`.
struct LibcRedirect {
  const char* name;
  const void* target;
};
bool RedirectLibcCalls(const LibcRedirect* calls, size_t count, const char* what, const char* kept);

// Whether glibc itself calls, by the address that it returns to. False until ResolveLibc.
bool IsLibcCode(const void* address);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_GLIBC_LIBC_H_
