// Uses jemalloc's own calls beside malloc and free, as its manual allows: what the one has handed
// out the other takes back. jemalloc is preloaded behind taskmem.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tests/programs/support/check.h"

namespace {

template <typename Function>
void Find(const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  REQUIRE(*function != nullptr);
}

}  // namespace

int main() {
  void* (*mallocx)(size_t, int);
  void* (*rallocx)(void*, size_t, int);
  size_t (*sallocx)(const void*, int);
  void (*dallocx)(void*, int);
  void (*malloc_stats_print)(void (*)(void*, const char*), void*, const char*);
  Find("malloc_stats_print", &malloc_stats_print);
  Find("mallocx", &mallocx);
  Find("rallocx", &rallocx);
  Find("sallocx", &sallocx);
  Find("dallocx", &dallocx);
  for (int round = 0; round < 100; ++round) {
    for (const size_t bytes : {size_t{100}, size_t{5000}, size_t{3} << 20}) {
      void* const theirs = mallocx(bytes, 6);
      REQUIRE(theirs != nullptr && reinterpret_cast<uintptr_t>(theirs) % 64 == 0);
      memset(theirs, 1, bytes);
      auto* const grown = static_cast<char*>(realloc(theirs, 2 * bytes));
      REQUIRE(grown != nullptr && grown[0] == 1 && grown[bytes - 1] == 1);
      free(grown);
      auto* ours = static_cast<char*>(malloc(bytes));
      memset(ours, 2, bytes);
      ours = static_cast<char*>(rallocx(ours, 2 * bytes, 0));
      REQUIRE(ours != nullptr && ours[0] == 2 && ours[bytes - 1] == 2);
      REQUIRE(sallocx(ours, 0) >= 2 * bytes);
      dallocx(ours, 0);
    }
  }
  size_t printed = 0;
  malloc_stats_print(
      [](void* sum, const char* text) { *static_cast<size_t*>(sum) += strlen(text); }, &printed,
      nullptr);
  REQUIRE(printed != 0);
}
