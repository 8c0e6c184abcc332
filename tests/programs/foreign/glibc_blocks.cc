// Blocks of glibc's own heap, from a library opened with RTLD_DEEPBIND, reach
// our free and realloc: small ones, mapped ones, and those of a second arena.
#include <dlfcn.h>
#include <malloc.h>

#include <thread>

#include "tests/programs/support/check.h"

namespace {

void* (*g_deep_malloc)(size_t);

void Pass() {
  for (size_t size : {1, 24, 100, 1000, 60000, 200000, 5000000}) {
    for (int i = 0; i < 50; ++i) {
      void* block = g_deep_malloc(size);
      REQUIRE(block != nullptr && malloc_usable_size(block) >= size);
      FillPattern(block, size, 1);
      if (i % 2 == 0) {
        block = realloc(block, size * 2 + 10);
        REQUIRE(block != nullptr && HasPattern(block, size, 1));
      }
      free(block);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  REQUIRE(library != nullptr);
  g_deep_malloc = reinterpret_cast<void* (*)(size_t)>(dlsym(library, "DeepMalloc"));
  Pass();
  std::thread(Pass).join();
}
