// Alignments up to 64 MiB, several blocks alive at once, all of each usable.
#include <malloc.h>

#include "tests/programs/support/check.h"

int main() {
  for (size_t alignment = 16; alignment <= (size_t{64} << 20); alignment *= 2) {
    const size_t sizes[] = {1, 100, 5000, alignment / 2, alignment + 1, size_t{1} << 20};
    void* blocks[6];
    for (int i = 0; i < 6; ++i) {
      blocks[i] = memalign(alignment, sizes[i]);
      REQUIRE(blocks[i] != nullptr);
      REQUIRE(IsAligned(blocks[i], alignment));
      REQUIRE(malloc_usable_size(blocks[i]) >= sizes[i]);
      // Touching every byte of the largest would only cost time.
      FillPattern(blocks[i], sizes[i] < 4096 ? sizes[i] : 4096, 10u + static_cast<unsigned>(i));
      static_cast<char*>(blocks[i])[sizes[i] - 1] = 'e';
    }
    for (int i = 0; i < 6; ++i) {
      const size_t filled = sizes[i] < 4096 ? sizes[i] : 4096;
      REQUIRE(static_cast<char*>(blocks[i])[sizes[i] - 1] == 'e');
      REQUIRE(HasPattern(blocks[i], filled - 1, 10u + static_cast<unsigned>(i)));
      free(blocks[i]);
    }
  }
}
