// Writes to blocks of 1 MiB until one is refused, 4096 at most, and says how many it got.
#include "tests/programs/support/check.h"

int main() {
  constexpr size_t kMiB = size_t{1} << 20;
  int count = 0;
  for (; count < 4096; ++count) {
    char* const block = static_cast<char*>(malloc(kMiB));
    if (block == nullptr) break;
    memset(block, 1, kMiB);
  }
  printf("%d\n", count);
}
