// realloc keeps what fits, growing and shrinking, from bytes to 64 MiB.
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

void Walk(void* block, size_t size) {
  FillPattern(block, size, 7);
  uint64_t random = 4242;
  for (int step = 0; step < 400; ++step) {
    const size_t next = 1 + NextRandom(&random) % (size_t{1} << (step % 23));
    block = realloc(block, next);
    REQUIRE(block != nullptr);
    REQUIRE(IsAligned(block, NaturalAlignment(next)));
    REQUIRE(HasPattern(block, next < size ? next : size, 7));
    FillPattern(block, next, 7);
    size = next;
  }
  free(block);
}

}  // namespace

int main() {
  Walk(malloc(1), 1);
  Walk(calloc(100, 10), 1000);
  Walk(memalign(4096, 10000), 10000);
  Walk(memalign(1 << 20, 100), 100);

  size_t size = 1;
  void* block = malloc(size);
  FillPattern(block, size, 3);
  while (size < (size_t{64} << 20)) {
    const size_t next = size * 3 / 2 + 1;
    block = realloc(block, next);
    REQUIRE(block != nullptr && HasPattern(block, size, 3));
    size = next;
    FillPattern(block, size, 3);
  }
  block = realloc(block, 1000);
  REQUIRE(block != nullptr && HasPattern(block, 1000, 3));
  void* same = realloc(block, 1000);
  REQUIRE(HasPattern(same, 1000, 3));
  free(same);
}
