// A library that allocates and maps; both outlive it.
#include <stdlib.h>
#include <sys/mman.h>

extern "C" void* SumsAllocate(size_t bytes) {
  void* block = malloc(bytes);
  if (block != nullptr) *static_cast<char*>(block) = 1;
  return block;
}

extern "C" void* SumsMap(size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  *static_cast<char*>(mapping) = 1;
  return mapping;
}
