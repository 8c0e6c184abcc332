// Blocks that take about as much as mimalloc takes from the system at once, where it has just got
// such memory back.
#include <cstdlib>
#include <vector>

#include "tests/programs/support/check.h"

int main() {
  constexpr size_t kSegmentBytes = size_t{32} << 20;
  constexpr size_t kPieceBytes = size_t{64} << 10;
  for (int round = 0; round < 8; ++round) {
    std::vector<char*> blocks;
    for (int i = 0; i < 400; ++i) {
      blocks.push_back(static_cast<char*>(malloc(size_t{300} << 10)));
      REQUIRE(blocks.back() != nullptr);
      blocks.back()[5000] = 1;
    }
    for (char* block : blocks) free(block);
    for (size_t pieces = 0; pieces < 4; ++pieces) {
      const size_t bytes = kSegmentBytes - pieces * kPieceBytes;
      auto* const block = static_cast<unsigned char*>(malloc(bytes));
      REQUIRE(block != nullptr);
      for (size_t at = 0; at < bytes; at += 4096) block[at] = static_cast<unsigned char>(at >> 12);
      // What was free gets lost meanwhile, if anything does.
      for (int i = 0; i < 200; ++i) free(malloc(size_t{200} << 10));
      for (size_t at = 0; at < bytes; at += 4096) {
        REQUIRE(block[at] == static_cast<unsigned char>(at >> 12));
      }
      free(block);
    }
  }
}
