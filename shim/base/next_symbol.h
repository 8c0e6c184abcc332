// Functions that the library wraps: those it stands in front of.
#ifndef TASKMEM_SHIM_BASE_NEXT_SYMBOL_H_
#define TASKMEM_SHIM_BASE_NEXT_SYMBOL_H_

#include <dlfcn.h>

namespace taskmem {

// The function after this library in the search order; never inside malloc.
inline void* NextSymbol(const char* name) { return dlsym(RTLD_NEXT, name); }

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_NEXT_SYMBOL_H_
