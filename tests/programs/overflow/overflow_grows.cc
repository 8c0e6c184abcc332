// A block grows by realloc from within the quota to five times of it and shrinks again.
#include "tests/programs/support/overflow.h"

int main() {
  constexpr uint64_t kQuota = 48 * kMiB;
  const uint64_t resident = PeakResidentBytes();
  Begin(kTask, kQuota);
  Attach(kTask);
  Filled block = Take(64 << 10, 5);
  // A neighbour, so that it has to move now and then.
  Filled neighbour = Take(200 << 10, 6);
  while (block.bytes < 5 * kQuota) {
    const size_t before = block.bytes;
    block.bytes = block.bytes * 5 / 4 / 8 * 8;
    block.words = static_cast<uint64_t*>(realloc(block.words, block.bytes));
    REQUIRE(block.words != nullptr);
    REQUIRE(block.IsIntact(before));
    block.Fill();
    free(neighbour.words);
    neighbour = Take(block.bytes / 64 / 8 * 8 + 4096, block.bytes);
  }
  RequireBooksMatchPages();
  RequireKeptSmall(kTask, resident);
  while (block.bytes > 4096) {
    block.bytes = block.bytes / 3 / 8 * 8;
    block.words = static_cast<uint64_t*>(realloc(block.words, block.bytes));
    REQUIRE(block.words != nullptr);
    REQUIRE(block.IsIntact());
  }
  free(block.words);
  free(neighbour.words);
  RequireBooksMatchPages();
  return 0;
}
