// Knows nothing of taskmem. Counts the blocks of 1 MiB it gets, up to 200.
#include "tests/programs/support/check.h"

int main() {
  int count = 0;
  while (count < 200) {
    char* block = static_cast<char*>(malloc(1 << 20));
    if (block == nullptr) break;
    memset(block, 1, 1 << 20);
    ++count;
  }
  printf("%d\n", count);
}
