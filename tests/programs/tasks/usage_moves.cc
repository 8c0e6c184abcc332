// A task's books go up with what it allocates and back to 0 with what is freed.
#include <malloc.h>

#include <vector>

#include "tests/programs/support/tasks.h"

int main() {
  std::vector<void*> blocks;
  blocks.reserve(100000);
  Begin(kTask, 512 * kMiB, "moves");
  REQUIRE_COMPARE(Usage(kTask).threads, ==, 0);
  Attach(kTask);
  REQUIRE_COMPARE(Usage(kTask).threads, ==, 1);
  uint64_t live = 0;
  while (live < 64 * kMiB) {
    const size_t size = blocks.size() % 100 == 0 ? 500000 : 16 + blocks.size() * 37 % 3000;
    blocks.push_back(malloc(size));
    live += size;
    REQUIRE_COMPARE(Charged(kTask), >=, live);
  }
  const taskmem_usage full = Usage(kTask);
  REQUIRE_COMPARE(full.charged_bytes, <, live * 13 / 10);
  REQUIRE_COMPARE(full.quota_bytes, ==, 512 * kMiB);
  REQUIRE_COMPARE(full.overdraft_bytes + full.refusals + full.overdrafts, ==, 0);
  REQUIRE(full.pages > 0);
  for (void* block : blocks) {
    REQUIRE(OwnerOf(block) == kTask);
    free(block);
  }
  malloc_trim(0);
  REQUIRE_COMPARE(Charged(kTask), ==, 0);
  REQUIRE_COMPARE(Usage(kTask).pages, ==, 0);
  REQUIRE_COMPARE(Usage(kTask).peak_charged_bytes, >=, full.charged_bytes);
  Detach();
  REQUIRE_COMPARE(Usage(kTask).threads, ==, 0);
  void* untracked = malloc(10 * kMiB);
  REQUIRE(OwnerOf(untracked) == TASKMEM_UNTRACKED);
  REQUIRE_COMPARE(Charged(kTask), ==, 0);
  free(untracked);
  End(kTask);
}
