// malloc_usable_size is at least what was asked for, all of it may be written,
// and it says the same for as long as the block lives.
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

constexpr int kBlocks = 3000;

struct Block {
  void* start;
  size_t usable;
};

Block g_blocks[kBlocks];

void* Allocate(int i, size_t size) {
  switch (i % 5) {
    case 0: return malloc(size);
    case 1: return calloc(1, size);
    case 2: return memalign(size_t{16} << (i % 9), size);
    case 3: return aligned_alloc(64, size);
    default: return realloc(malloc(size / 2), size + 1);
  }
}

}  // namespace

int main() {
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < kBlocks; ++i) {
    const size_t size = i < 2000 ? static_cast<size_t>(i) : NextRandom(&random) % 300000;
    Block& block = g_blocks[i];
    block.start = Allocate(i, size);
    REQUIRE(block.start != nullptr);
    block.usable = malloc_usable_size(block.start);
    REQUIRE_COMPARE(block.usable, >=, size);
    FillPattern(block.start, block.usable, static_cast<unsigned>(i));
  }
  for (int i = 0; i < kBlocks; ++i) {
    REQUIRE_COMPARE(malloc_usable_size(g_blocks[i].start), ==, g_blocks[i].usable);
    REQUIRE(HasPattern(g_blocks[i].start, g_blocks[i].usable, static_cast<unsigned>(i)));
    free(g_blocks[i].start);
  }
}
