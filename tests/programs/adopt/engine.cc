// engine LIBRARY adopted|kept: a library's own jemalloc hands out taskmem's blocks from its first
// call on, or none; several times, as libraries come and go.
#include <dlfcn.h>
#include <malloc.h>

#include "tests/programs/adopt/engine_calls.h"
#include "tests/programs/support/mappings.h"

namespace {

constexpr int kZero = 64;

int Aligned(int logarithm) { return logarithm; }

bool IsZero(const void* block, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (static_cast<const char*>(block)[i] != 0) return false;
  }
  return true;
}

void RequireTaken(const EngineCalls& engine, void* block, size_t size, size_t alignment = 8) {
  REQUIRE(block != nullptr && !engine.IsOwn(block) && IsAligned(block, alignment));
  REQUIRE_COMPARE(OwnerOf(block), ==, kTask);
  REQUIRE(engine.sallocx(block, 0) >= size);
  REQUIRE_COMPARE(engine.malloc_usable_size(block), ==, malloc_usable_size(block));
  memset(block, 0x5a, size);
}

void UseAdopted(const EngineCalls& engine) {
  REQUIRE(!engine.IsOwn(engine.early) && malloc_usable_size(engine.early) >= 1000);
  Begin(kTask, 64 * kMiB);
  Attach(kTask);
  for (const size_t size : {1, 8, 100, 5000, 300'000, 5'000'000}) {
    void* block = engine.malloc(size);
    RequireTaken(engine, block, size);
    block = engine.realloc(block, 2 * size);
    RequireTaken(engine, block, 2 * size);
    engine.free(block);
    block = engine.calloc(2, size);
    REQUIRE(IsZero(block, 2 * size));
    engine.sdallocx(block, 2 * size, 0);
    REQUIRE(engine.nallocx(size, 0) >= size);
    for (const int logarithm : {0, 3, 4, 6, 12, 16}) {
      const size_t alignment = size_t{1} << logarithm;
      block = engine.mallocx(size, Aligned(logarithm) | kZero);
      REQUIRE(IsZero(block, size));
      RequireTaken(engine, block, size, alignment);
      REQUIRE_COMPARE(engine.xallocx(block, size, 0, Aligned(logarithm)), ==,
                      malloc_usable_size(block));
      FillPattern(block, size, 3);
      block = engine.rallocx(block, 3 * size, Aligned(logarithm));
      REQUIRE(HasPattern(block, size, 3));
      RequireTaken(engine, block, 3 * size, alignment);
      engine.dallocx(block, Aligned(logarithm));
      block = nullptr;
      REQUIRE(engine.posix_memalign(&block, alignment < 8 ? 8 : alignment, size) == 0);
      RequireTaken(engine, block, size, alignment);
      free(block);
    }
    block = engine.aligned_alloc(64, size);
    RequireTaken(engine, block, size, 64);
    engine.free(block);
  }
  void* block = nullptr;
  REQUIRE(engine.posix_memalign(&block, 24, 100) == EINVAL && block == nullptr);
  // The quota is the blocks' as well.
  errno = 0;
  REQUIRE(engine.malloc(100 * kMiB) == nullptr && errno == ENOMEM);
  REQUIRE(engine.mallocx(100 * kMiB, kZero) == nullptr);
  engine.free(nullptr);
  Detach();
  End(kTask);
  engine.free(engine.early);
}

// Nobody but the library has changed it.
bool HasNoWritableCode() {
  FILE* const maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  char line[512];
  bool has_none = true;
  while (fgets(line, sizeof(line), maps) != nullptr) {
    if (strstr(line, " rwx") != nullptr) has_none = false;
  }
  fclose(maps);
  return has_none;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  for (int round = 0; round < 3; ++round) {
    void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    auto* const find = reinterpret_cast<void (*)(EngineCalls*)>(dlsym(library, "FindEngine"));
    REQUIRE(find != nullptr);
    EngineCalls engine = {};
    find(&engine);
    if (strcmp(argv[2], "adopted") == 0) {
      UseAdopted(engine);
    } else {
      REQUIRE(engine.IsOwn(engine.early) && engine.IsOwn(engine.malloc(10)));
    }
    REQUIRE(HasNoWritableCode());
    REQUIRE(dlclose(library) == 0);
  }
}
