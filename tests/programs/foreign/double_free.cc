// Frees a block again after everything around it was given back.
#include <malloc.h>

#include "tests/programs/support/check.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  if (strcmp(argv[1], "large") == 0) {
    void* block = Hide(malloc(20 << 20));
    free(block);
    malloc_trim(0);
    free(block);
  } else {
    constexpr int kBlocks = 60000;
    static void* blocks[kBlocks];
    for (void*& block : blocks) {
      block = malloc(1000);
      REQUIRE(block != nullptr);
    }
    void* twice = Hide(blocks[kBlocks / 2]);
    for (void* block : blocks) free(block);
    malloc_trim(0);
    free(twice);
  }
  for (size_t size = 1; size < 1000000; size = size * 2 + 1) {
    void* block = malloc(size);
    FillPattern(block, size, 2);
    REQUIRE(HasPattern(block, size, 2));
    free(block);
  }
}
