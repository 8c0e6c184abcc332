// An auditor of the loader's with an allocator of its own (engine_library.cc): it has run long
// before anything is looked at, and keeps its own memory.
#include <link.h>

#include "tests/programs/adopt/engine_calls.h"
#include "tests/programs/support/check.h"

extern "C" void FindEngine(EngineCalls* calls);

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT unsigned la_version(unsigned version) { return version; }

EXPORT void la_preinit(uintptr_t*) {
  EngineCalls engine = {};
  FindEngine(&engine);
  REQUIRE(engine.IsOwn(engine.early) && engine.IsOwn(engine.malloc(10)));
  engine.free(engine.early);
}
