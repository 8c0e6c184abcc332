// A library with Arrow's mimalloc, as far as it is adopted, of a version that would ask for huge
// pages.
#include <cstddef>

#define ENTRY extern "C" __attribute__((visibility("hidden"), noinline, used))
#define EXPORT extern "C" __attribute__((visibility("default")))

// The name of the option, and as much beside it as an allocator has.
EXPORT const char kOptions[300 * 1024] = "allow_thp";

ENTRY void* arrow_mi_malloc_aligned(size_t size, size_t alignment) {
  asm volatile("nop; nop; nop; nop; nop" : : "r"(size), "r"(alignment));
  return nullptr;
}
ENTRY void* arrow_mi_realloc_aligned(void* block, size_t size, size_t alignment) {
  asm volatile("nop; nop; nop; nop; nop; nop" : : "r"(block), "r"(size), "r"(alignment));
  return nullptr;
}
ENTRY void arrow_mi_free(void* block) {
  asm volatile("nop; nop; nop; nop; nop; nop; nop" : : "r"(block));
}

EXPORT void* Take(size_t size) { return arrow_mi_malloc_aligned(size, 64); }
EXPORT void* Grow(void* block, size_t size) { return arrow_mi_realloc_aligned(block, size, 64); }
EXPORT void Give(void* block) { arrow_mi_free(block); }
