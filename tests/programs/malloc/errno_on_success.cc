// What succeeds leaves errno alone: small blocks, large blocks, and every free.
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

constexpr int kMark = 1234;

void* Unchanged(void* block) {
  REQUIRE_COMPARE(errno, ==, kMark);
  REQUIRE(block != nullptr);
  return block;
}

void Free(void* block) {
  free(block);
  REQUIRE_COMPARE(errno, ==, kMark);
}

}  // namespace

int main() {
  errno = kMark;
  for (int round = 0; round < 20; ++round) {
    for (size_t size = 0; size < (size_t{48} << 20); size = size * 2 + 1) {
      Free(Unchanged(malloc(size)));
      Free(Unchanged(calloc(size, 1)));
      Free(Unchanged(realloc(Unchanged(malloc(size / 2)), size + 1)));
      Free(Unchanged(realloc(Unchanged(malloc(size)), size / 2 + 1)));
      Free(Unchanged(reallocarray(nullptr, size, 1)));
      Free(Unchanged(memalign(256, size)));
      Free(Unchanged(aligned_alloc(64, size)));
      Free(Unchanged(valloc(size)));
      Free(Unchanged(pvalloc(size)));
      void* block = nullptr;
      REQUIRE_COMPARE(posix_memalign(&block, 128, size), ==, 0);
      REQUIRE(malloc_usable_size(Unchanged(block)) >= size);
      Free(block);
      Free(nullptr);
    }
  }
}
