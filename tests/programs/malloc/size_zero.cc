// A block of size 0 is a block: not NULL, like no other, and free takes it.
#include <malloc.h>

#include "tests/programs/support/check.h"

int main() {
  constexpr int kBlocks = 200;
  void* blocks[kBlocks];
  const size_t zero = HideSize(0);
  for (int i = 0; i < kBlocks; ++i) {
    switch (i % 9) {
      case 0: blocks[i] = malloc(zero); break;
      case 1: blocks[i] = calloc(zero, 8); break;
      case 2: blocks[i] = calloc(8, zero); break;
      case 3: blocks[i] = realloc(nullptr, zero); break;
      case 4: blocks[i] = memalign(64, zero); break;
      case 5: blocks[i] = aligned_alloc(64, zero); break;
      case 6: blocks[i] = valloc(zero); break;
      case 7: blocks[i] = reallocarray(nullptr, zero, 8); break;
      default: REQUIRE_COMPARE(posix_memalign(&blocks[i], 64, zero), ==, 0); break;
    }
    REQUIRE(blocks[i] != nullptr);
    for (int j = 0; j < i; ++j) REQUIRE(blocks[i] != blocks[j]);
  }
  for (void* block : blocks) free(block);
  void* page = pvalloc(zero);
  REQUIRE(page != nullptr);
  free(page);

  void* block = malloc(10);
  REQUIRE(realloc(Hide(block), zero) == nullptr);
  block = malloc(10);
  REQUIRE(reallocarray(Hide(block), zero, 8) == nullptr);
  REQUIRE_COMPARE(malloc_usable_size(nullptr), ==, 0);
  free(nullptr);
}
