// A library with initial-exec thread-local storage can still be opened late.
#include <dlfcn.h>

#include <thread>

#include "tests/programs/support/check.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  void* library = dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) dprintf(STDERR_FILENO, "%s\n", dlerror());
  REQUIRE(library != nullptr);
  auto* bytes = reinterpret_cast<char* (*)()>(dlsym(library, "ThreadBytes"));
  FillPattern(bytes(), 512, 1);
  std::thread([bytes] {
    REQUIRE(bytes()[0] == 0 && bytes()[511] == 0);
    free(malloc(1000));
    FillPattern(bytes(), 512, 2);
  }).join();
  free(malloc(100000));
  REQUIRE(HasPattern(bytes(), 512, 1));
}
