// A library with an allocator of its own, under the names that jemalloc has with a prefix: its
// blocks come from an arena of the library's, one after another, and none is used again. What is
// adopted hands out none of these.
//   EXPORTED           its functions are exported; else they are local, in .symtab only
//   WITHOUT_SDALLOCX   exported, and not all of them
//   VARIED             one of them has a variant, which callers may use instead of it
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/programs/adopt/engine_calls.h"

#if defined(EXPORTED)
#define ENTRY extern "C" __attribute__((visibility("default"), noinline))
#else
#define ENTRY extern "C" __attribute__((visibility("hidden"), noinline, used))
#endif

namespace {

alignas(4096) char g_arena[1 << 20];
size_t g_used = 0;

void* Take(size_t size, size_t alignment) {
  g_used = (g_used + alignment - 1) / alignment * alignment;
  if (size > sizeof(g_arena) - g_used) return nullptr;
  void* const block = g_arena + g_used;
  g_used += size;
  return block;
}

size_t AlignmentOf(int flags) { return size_t{1} << (flags & 63); }

}  // namespace

ENTRY void* eng_malloc(size_t size) { return Take(size, 16); }
ENTRY void* eng_calloc(size_t count, size_t size) { return Take(count * size, 16); }
ENTRY void* eng_realloc(void* block, size_t size) {
  void* const moved = Take(size, 16);
  if (moved != nullptr && block != nullptr) memmove(moved, block, size);
  return moved;
}
ENTRY void eng_free(void* block) { asm volatile("nop; nop; nop; nop; nop" : : "r"(block)); }
ENTRY int eng_posix_memalign(void** block, size_t alignment, size_t size) {
  *block = Take(size, alignment);
  return *block == nullptr;
}
ENTRY void* eng_aligned_alloc(size_t alignment, size_t size) { return Take(size, alignment); }
ENTRY void* eng_mallocx(size_t size, int flags) { return Take(size, AlignmentOf(flags)); }
ENTRY void* eng_rallocx(void* block, size_t size, int flags) {
  void* const moved = Take(size, AlignmentOf(flags));
  if (moved != nullptr) memmove(moved, block, size);
  return moved;
}
ENTRY size_t eng_xallocx(void* block, size_t size, size_t extra, int flags) {
  asm volatile("" : : "r"(block), "r"(extra), "r"(flags));
  return size + 1;
}
ENTRY size_t eng_sallocx(const void* block, int flags) {
  asm volatile("" : : "r"(block), "r"(flags));
  return 1;
}
ENTRY void eng_dallocx(void* block, int) {
  asm volatile("nop; nop; nop; nop; nop; nop" : : "r"(block));
}
#if !defined(WITHOUT_SDALLOCX)
ENTRY void eng_sdallocx(void* block, size_t size, int) {
  asm volatile("nop; nop; nop; nop; nop; nop; nop" : : "r"(block), "r"(size));
}
#endif
ENTRY size_t eng_nallocx(size_t size, int) { return size + 2; }
ENTRY size_t eng_malloc_usable_size(void* block) {
  asm volatile("" : : "r"(block));
  return 2;
}
ENTRY int eng_mallctlnametomib(const char* name, size_t* mib, size_t* count) {
  asm volatile("" : : "r"(name), "r"(mib), "r"(count));
  return 1;
}
ENTRY int eng_mallctl(const char* name, void* old_value, size_t* old_bytes, void* new_value,
                      size_t) {
  asm volatile("" : : "r"(name), "r"(old_value), "r"(old_bytes), "r"(new_value));
  return 2;
}
ENTRY int eng_mallctlbymib(const size_t* mib, size_t, void* old_value, size_t* old_bytes,
                           void* new_value, size_t) {
  asm volatile("" : : "r"(mib), "r"(old_value), "r"(old_bytes), "r"(new_value));
  return 3;
}

#if defined(VARIED)
// As linkers name it that optimise the whole program.
extern "C" __attribute__((visibility("hidden"), noinline)) size_t Varied(const void* block) asm(
    "eng_malloc_usable_size.lto_priv.10.constprop.0.isra.0.lto_priv.12");
size_t Varied(const void* block) {
  asm volatile("nop; nop; nop" : : "r"(block));
  return 3;
}
#endif

// Makes the file as large as an engine's.
extern "C" __attribute__((visibility("default"))) const char kBallast[512 * 1024] = {1};

namespace {

// Runs before dlopen returns: a block that is made here must be adopted as well.
void* g_early = nullptr;
__attribute__((constructor)) void MakeEarlyBlock() { g_early = eng_malloc(1000); }

}  // namespace

extern "C" __attribute__((visibility("default"))) void FindEngine(EngineCalls* calls) {
  *calls = {eng_malloc,
            eng_calloc,
            eng_realloc,
            eng_free,
            eng_posix_memalign,
            eng_aligned_alloc,
            eng_mallocx,
            eng_rallocx,
            eng_xallocx,
            eng_sallocx,
            eng_dallocx,
            nullptr,
            eng_nallocx,
            eng_malloc_usable_size,
            nullptr,
            eng_mallctl,
            eng_mallctlbymib,
            nullptr,
            nullptr,
            nullptr};
#if !defined(WITHOUT_SDALLOCX)
  calls->sdallocx = eng_sdallocx;
#endif
  calls->mallctlnametomib = eng_mallctlnametomib;
#if defined(VARIED)
  asm volatile("" : : "r"(Varied));
#endif
  asm volatile("" : : "r"(kBallast));
  calls->early = g_early;
  calls->arena_start = g_arena;
  calls->arena_end = g_arena + sizeof(g_arena);
}
