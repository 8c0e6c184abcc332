// A library that allocates in constructors and destructors is loaded and
// unloaded 200 times; blocks it made outlive it.
#include <dlfcn.h>

#include "tests/programs/support/check.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  for (int i = 0; i < 200; ++i) {
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) dprintf(STDERR_FILENO, "%s\n", dlerror());
    REQUIRE(library != nullptr);
    auto* take = reinterpret_cast<void* (*)()>(dlsym(library, "TakeBlock"));
    REQUIRE(take != nullptr);
    void* block = take();
    REQUIRE(dlclose(library) == 0);
    REQUIRE(HasPattern(block, 1234, 4));
    free(block);
  }
}
