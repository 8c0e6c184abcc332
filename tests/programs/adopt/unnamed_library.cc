// A library with an allocator that none of its functions' names tells, but a text of its messages.
// It maps memory for itself.
#include <sys/mman.h>

extern "C" __attribute__((visibility("default"))) const char kMessage[] =
    "<jemalloc>: Out of memory";

extern "C" __attribute__((visibility("default"))) void* MapSome() {
  void* const memory =
      mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  asm volatile("" : : "r"(memory));  // the call returns here
  return memory;
}
