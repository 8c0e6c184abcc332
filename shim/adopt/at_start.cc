#include "shim/adopt/at_start.h"

#include <dlfcn.h>
#include <sys/auxv.h>

#include <cstdint>
#include <cstring>

#include "accounting/base/base_name.h"
#include "shim/adopt/allocator_symbols.h"

namespace taskmem::adopt {
namespace {

// What comes from nobody's engine, to spare each program a look at these files.
constexpr const char* kKin[] = {"libc.so",  "libm.so",    "libstdc++",  "libgcc_s",
                                "ld-linux", "libtaskmem", "libpthread", "libdl.so",
                                "librt.so", "linux-vdso", "libtinfo"};

bool IsKin(const char* path) {
  const char* const base = BaseName(path);
  for (const char* kin : kKin) {
    if (strncmp(base, kin, strlen(kin)) == 0) return true;
  }
  return false;
}

// The environment as the kernel has put it on the stack, below the program's name. libc's and the
// loader's variables that lead there are not set yet, where the program has copies of them.
bool IsForbidden() {
  constexpr char kOff[] = "\0TASKMEM_ADOPT=off";
  const auto* const begin = reinterpret_cast<const char*>(getauxval(AT_RANDOM));
  const auto* const end = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  if (begin == nullptr || end <= begin) return false;
  return memmem(begin, static_cast<size_t>(end - begin), kOff, sizeof(kOff)) != nullptr;
}

// The file need not be looked at. By what the loader says of it: neither is where a library's
// header lies what the library is moved by, nor need it be in memory.
bool IsSmall(const link_map& library) {
  dl_find_object object;
  if (_dl_find_object(library.l_ld, &object) != 0) return false;
  return reinterpret_cast<uintptr_t>(object.dlfo_map_end) -
             reinterpret_cast<uintptr_t>(object.dlfo_map_start) <
         kLeastBytes;
}

void LookAtAll() {
  // Of the program's start, not of a library that is opened later.
  if (_r_debug.r_state != r_debug::RT_ADD || getauxval(AT_SECURE) != 0 || IsForbidden()) return;
  // The program's name space: of others, auditors' (LD_AUDIT), much has run already.
  const link_map* const program = _r_debug.r_map;
  for (const link_map* library = program; library != nullptr; library = library->l_next) {
    const char* const path = library == program ? "/proc/self/exe" : library->l_name;
    if (path != nullptr && strchr(path, '/') != nullptr && !IsKin(path) && !IsSmall(*library)) {
      LookAtStart(*library, path);
    }
  }
}

}  // namespace
}  // namespace taskmem::adopt

extern "C" {

static void DoNothing() {}

// Called by the loader.
static void (*ResolveAtStart())() {
  taskmem::adopt::LookAtAll();
  return DoNothing;
}

__attribute__((visibility("hidden"), ifunc("ResolveAtStart"))) void TaskmemAtStart();
}

namespace taskmem::adopt {

void EnsureLookAtStart() { TaskmemAtStart(); }

}  // namespace taskmem::adopt
