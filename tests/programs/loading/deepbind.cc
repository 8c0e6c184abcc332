// Blocks go both ways between a program and a library opened with RTLD_DEEPBIND.
#include <dlfcn.h>
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

template <typename Function>
Function* Find(void* library, const char* name) {
  auto* function = reinterpret_cast<Function*>(dlsym(library, name));
  REQUIRE(function != nullptr);
  return function;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  REQUIRE(library != nullptr);
  auto* deep_free = Find<void(void*)>(library, "DeepFree");
  auto* deep_realloc = Find<void*(void*, size_t)>(library, "DeepRealloc");
  auto* deep_duplicate = Find<char*(const char*)>(library, "DeepDuplicate");
  auto* deep_usable_size = Find<size_t(void*)>(library, "DeepUsableSize");
  for (size_t size : {1, 100, 5000, 300000, 5000000}) {
    for (const char* name : {"DeepMalloc", "DeepCalloc", "DeepMemalign"}) {
      void* block = Find<void*(size_t)>(library, name)(size);
      REQUIRE(block != nullptr && malloc_usable_size(block) >= size);
      FillPattern(block, size, 1);
      block = realloc(block, size * 2);
      REQUIRE(block != nullptr && HasPattern(block, size, 1));
      free(block);
    }
    void* block = malloc(size);
    FillPattern(block, size, 2);
    REQUIRE(deep_usable_size(block) >= size);
    block = deep_realloc(block, size + 1000);
    REQUIRE(block != nullptr && HasPattern(block, size, 2));
    deep_free(block);
    deep_free(calloc(1, size));
    deep_free(memalign(64, size));
  }
  char* text = deep_duplicate("given by libc's strdup");
  REQUIRE(strcmp(text, "given by libc's strdup") == 0);
  free(text);
  deep_free(strdup("given by ours"));
  deep_free(nullptr);
  dlclose(library);
}
