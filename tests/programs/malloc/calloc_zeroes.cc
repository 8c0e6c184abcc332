// calloc's memory is zero, also where a dirty block was freed just before.
#include "tests/programs/support/check.h"

namespace {

bool IsZero(const char* block, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (block[i] != 0) return false;
  }
  return true;
}

}  // namespace

int main() {
  constexpr int kBlocks = 8;
  for (size_t size = 1; size <= (size_t{8} << 20); size = size * 5 / 3 + 1) {
    for (int round = 0; round < 3; ++round) {
      char* blocks[kBlocks];
      for (char*& block : blocks) {
        block = static_cast<char*>(calloc(1, size));
        REQUIRE(block != nullptr);
        REQUIRE(IsZero(block, size));
        memset(block, 0xa5, size);
      }
      for (char* block : blocks) free(block);
    }
  }
}
