// dlclose under its exported name: what is remembered of a library's code ends with it.
#include <dlfcn.h>

#include "shim/base/next_symbol.h"
#include "shim/engines/engines.h"
#include "shim/sites/unloaded_libraries.h"
#include "shim/sites/unwinder.h"

namespace taskmem {
namespace {

using Close = int (*)(void*);

// Found at the start: a handler that closes a library must not look for it.
Close g_close = nullptr;

__attribute__((constructor)) void FindClose() {
  g_close = reinterpret_cast<Close>(NextSymbol("dlclose"));
}

}  // namespace
}  // namespace taskmem

extern "C" __attribute__((visibility("default"))) int dlclose(void* handle) noexcept {
  using namespace taskmem;
  const Close close = g_close != nullptr ? g_close : reinterpret_cast<Close>(NextSymbol("dlclose"));
  UnloadWatch watch;
  const int result = close(handle);
  ForgetRules();
  ForgetUnloadedEngines();
  watch.NoteUnloaded();
  return result;
}
