// Functions that the library wraps: those it stands in front of.
#ifndef TASKMEM_SHIM_BASE_NEXT_SYMBOL_H_
#define TASKMEM_SHIM_BASE_NEXT_SYMBOL_H_

#include <dlfcn.h>

#include <atomic>

namespace taskmem {

// The function after this library in the search order; never inside malloc.
inline void* NextSymbol(const char* name) { return dlsym(RTLD_NEXT, name); }

// The same, found once: `cache` keeps it.
template <typename Function>
Function NextFunction(std::atomic<void*>& cache, const char* name) {
  void* function = cache.load(std::memory_order_acquire);
  if (function == nullptr) {
    function = NextSymbol(name);
    cache.store(function, std::memory_order_release);
  }
  return reinterpret_cast<Function>(function);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_NEXT_SYMBOL_H_
