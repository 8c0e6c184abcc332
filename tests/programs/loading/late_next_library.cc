// A library that asks dlsym(RTLD_NEXT): opened late, it finds libc's.
#include <dlfcn.h>

#include "tests/programs/support/check.h"

extern "C" __attribute__((visibility("default"))) void* NextSymbol(const char* name) {
  return dlsym(RTLD_NEXT, name);
}
