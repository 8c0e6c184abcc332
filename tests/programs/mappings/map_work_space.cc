// Work space that a library reserves counts by what of it is touched: six times 32 MiB are no
// more than a quota of 60 MiB allows. Argument: the library.
#include <dlfcn.h>

#include "tests/programs/support/mappings.h"

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  void* const library = dlopen(argv[1], RTLD_NOW);
  REQUIRE(library != nullptr);
  const auto reserve = reinterpret_cast<void* (*)(int)>(dlsym(library, "blas_memory_alloc"));
  REQUIRE(reserve != nullptr);
  Begin(kTask, 60 * kMiB);
  Attach(kTask);
  for (int i = 0; i < 6; ++i) REQUIRE(reserve(0) != nullptr);
  Detach();
  End(kTask);
  return 0;
}
