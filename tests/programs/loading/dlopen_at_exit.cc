// A loaded library's destructors run after main has returned, and one that is
// opened by an exit handler still works.
#include <dlfcn.h>

#include "tests/programs/support/check.h"

namespace {

const char* g_path = nullptr;

void OpenLate() {
  void* library = dlopen(g_path, RTLD_NOW);
  REQUIRE(library != nullptr);
  auto* take = reinterpret_cast<void* (*)()>(dlsym(library, "TakeBlock"));
  free(take());
  REQUIRE(dlclose(library) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  g_path = argv[1];
  REQUIRE(atexit(OpenLate) == 0);
  REQUIRE(dlopen(argv[1], RTLD_NOW) != nullptr);
}
