// A library is closed and another one opened, which comes to lie in its place: what allocates
// through the second is found by the second's frames. Ends holding 8 MiB. library_replaced A B.
#include <dlfcn.h>

#include <cstring>

#include "tests/programs/support/check.h"

#define NOINLINE __attribute__((noinline))

namespace {

using Through = void (*)(void (*)());

constexpr size_t kBytes = 8 << 20;
void* volatile g_held = nullptr;

}  // namespace

// With names that a symboliser finds in the table of symbols.
NOINLINE void HoldBlock() {
  g_held = malloc(kBytes);
  REQUIRE(g_held != nullptr);
  memset(g_held, 1, kBytes);
}
NOINLINE void CallFirst(Through through) {
  through(HoldBlock);
  __asm__ volatile("" ::: "memory");
}
NOINLINE void CallSecond(Through through) {
  through(HoldBlock);
  __asm__ volatile("" ::: "memory");
}

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  void* const first = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(first != nullptr);
  auto* const first_through = reinterpret_cast<Through>(dlsym(first, "CallThrough"));
  REQUIRE(first_through != nullptr);
  CallFirst(first_through);
  free(g_held);
  REQUIRE(dlclose(first) == 0);
  void* const second = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(second != nullptr);
  auto* const second_through = reinterpret_cast<Through>(dlsym(second, "CallThrough"));
  REQUIRE(second_through == first_through);
  CallSecond(second_through);
}
