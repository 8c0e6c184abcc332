// What a late library finds as the next malloc, free and so on takes and gives
// the program's own blocks.
#include <dlfcn.h>
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

void* (*g_next_symbol)(const char*);

template <typename Function>
Function* Next(const char* name) {
  auto* function = reinterpret_cast<Function*>(g_next_symbol(name));
  REQUIRE(function != nullptr);
  return function;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  g_next_symbol = reinterpret_cast<void* (*)(const char*)>(dlsym(library, "NextSymbol"));
  REQUIRE(g_next_symbol != nullptr);
  auto* next_free = Next<void(void*)>("free");
  for (size_t size : {10, 3000, 300000, 5000000}) {
    next_free(malloc(size));
    next_free(calloc(1, size));
    next_free(memalign(512, size));
    free(Next<void*(size_t)>("malloc")(size));
    free(Next<void*(size_t, size_t)>("calloc")(1, size));
    free(Next<void*(size_t, size_t)>("memalign")(512, size));
    free(Next<void*(size_t, size_t)>("aligned_alloc")(512, size));
    void* block = nullptr;
    REQUIRE(Next<int(void**, size_t, size_t)>("posix_memalign")(&block, 512, size) == 0);
    REQUIRE(Next<size_t(void*)>("malloc_usable_size")(block) >= size);
    FillPattern(block, size, 1);
    block = Next<void*(void*, size_t)>("realloc")(block, size * 2);
    REQUIRE(HasPattern(block, size, 1));
    free(block);
  }
}
