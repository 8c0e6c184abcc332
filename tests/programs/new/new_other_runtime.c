// new_other_runtime LIBRARY: what cannot be had is thrown by the runtime of the library that asks,
// also where libstdc++ is loaded.
#include <dlfcn.h>

#include "tests/programs/support/check.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  REQUIRE(dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL) != NULL);
  REQUIRE(dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv") == NULL);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != NULL);
  void (*const require_throws_own)(void) = (void (*)(void))dlsym(library, "RequireThrowsOwn");
  REQUIRE(require_throws_own != NULL);
  require_throws_own();
  return 0;
}
