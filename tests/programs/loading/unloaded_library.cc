// Allocates through a function whose name differs from build to build, at the same place in each.
// FUNCTION is its name.
#include <cstddef>
#include <cstdlib>
#include <cstring>

extern "C" __attribute__((noinline)) void* FUNCTION(size_t bytes) {
  void* block = malloc(bytes);
  if (block != nullptr) memset(block, 1, bytes);
  return block;
}

extern "C" void* Take(size_t bytes) {
  void* block = FUNCTION(bytes);
  __asm__ volatile("" ::: "memory");
  return block;
}
