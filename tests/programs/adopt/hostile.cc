// hostile LIBRARY: what a program sees of a library, damaged or not, whose allocator may be
// adopted. What it writes does not depend on whether it was.
#include <dlfcn.h>
#include <stdio.h>

#include <cstdint>

#include "tests/programs/adopt/engine_calls.h"
#include "tests/programs/support/check.h"

namespace {

void Fill(void* block, size_t bytes) {
  REQUIRE(block != nullptr);
  for (size_t i = 0; i < bytes; ++i) static_cast<char*>(block)[i] = static_cast<char>(i);
}
void RequireFilled(const void* block, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    REQUIRE(static_cast<const char*>(block)[i] == static_cast<char>(i));
  }
}

void Use(const EngineCalls& engine) {
  Fill(engine.early, 1000);
  for (int round = 0; round < 20; ++round) {
    void* blocks[4] = {engine.malloc(500), engine.mallocx(700, 6), engine.aligned_alloc(64, 640),
                       nullptr};
    REQUIRE(engine.posix_memalign(&blocks[3], 128, 600) == 0);
    REQUIRE(reinterpret_cast<uintptr_t>(blocks[1]) % 64 == 0);
    REQUIRE(reinterpret_cast<uintptr_t>(blocks[3]) % 128 == 0);
    for (void* block : blocks) Fill(block, 500);
    for (const void* block : blocks) RequireFilled(block, 500);
    blocks[0] = engine.realloc(blocks[0], 900);
    REQUIRE(blocks[0] != nullptr);
    RequireFilled(blocks[0], 500);
    const auto* const zeros = static_cast<const char*>(engine.calloc(10, 10));
    for (int i = 0; i < 100; ++i) REQUIRE(zeros[i] == 0);
    engine.free(blocks[0]);
    engine.dallocx(blocks[1], 6);
    engine.free(blocks[2]);
    engine.free(blocks[3]);
  }
  RequireFilled(engine.early, 1000);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  for (int i = 0; i < 2; ++i) {
    void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      puts("not loaded");
      continue;
    }
    auto* const find = reinterpret_cast<void (*)(EngineCalls*)>(dlsym(library, "FindEngine"));
    if (find == nullptr) {
      puts("without its function");
      continue;
    }
    EngineCalls engine = {};
    find(&engine);
    Use(engine);
    puts("used");
    dlclose(library);
  }
}
