// What older versions of libarrow.so have (18 to 24 are known): mimalloc's own functions, local, in
// .symtab only. Its blocks come from an arena of the library's.
#include <cstddef>
#include <cstring>

#define ENTRY extern "C" __attribute__((visibility("hidden"), noinline, used))
#define ARROW extern "C" __attribute__((visibility("default")))

namespace {

alignas(4096) char g_arena[1 << 20] = {1};
size_t g_used = 0;

}  // namespace

ENTRY void* mi_malloc_aligned(size_t size, size_t alignment) {
  g_used = (g_used + alignment - 1) / alignment * alignment;
  if (size > sizeof(g_arena) - g_used) return nullptr;
  void* const block = g_arena + g_used;
  g_used += size;
  return block;
}
ENTRY void* mi_realloc_aligned(void* block, size_t size, size_t alignment) {
  void* const moved = mi_malloc_aligned(size, alignment);
  if (moved != nullptr && block != nullptr) memmove(moved, block, size);
  return moved;
}
ENTRY void mi_free(void* block) { asm volatile("nop; nop; nop; nop; nop" : : "r"(block)); }

ARROW void* ArrowAllocate(size_t size) { return mi_malloc_aligned(size, 64); }
ARROW void* ArrowReallocate(void* block, size_t size) {
  return mi_realloc_aligned(block, size, 64);
}
ARROW void ArrowFree(void* block) { mi_free(block); }
ARROW int ArrowOwns(const void* block) {
  return block >= g_arena && block < g_arena + sizeof(g_arena);
}
