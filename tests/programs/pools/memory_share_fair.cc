// Of 300 MiB one task takes all it gets, and another has 5 MiB: with "fair" that one gets more,
// with "none" it is refused.
#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kHoarder = 1;
constexpr uint64_t kInnocent = 2;
constexpr size_t kBlock = kMiB;
constexpr size_t kMost = 400;

// How many blocks it gets, `most` at most.
size_t Take(uint64_t task, size_t most) {
  Attach(task);
  size_t count = 0;
  for (; count < most; ++count) {
    void* const block = malloc(kBlock);
    if (block == nullptr) break;
    memset(block, 1, kBlock);
  }
  Detach();
  return count;
}

}  // namespace

int main(int, char** argv) {
  Begin(kHoarder, TASKMEM_NO_QUOTA);
  Begin(kInnocent, TASKMEM_NO_QUOTA);
  REQUIRE_COMPARE(Take(kHoarder, 100), ==, 100);
  REQUIRE_COMPARE(Take(kInnocent, 5), ==, 5);
  const size_t hoarded = 100 + Take(kHoarder, kMost);
  // No less than its own part, and what is nobody's.
  REQUIRE_COMPARE(hoarded, >=, 177);
  REQUIRE_COMPARE(hoarded, <, 300);
  REQUIRE_COMPARE(Usage(kHoarder).refusals, >=, 1);
  const size_t more = Take(kInnocent, 40);
  if (strcmp(argv[1], "fair") == 0) {
    REQUIRE_COMPARE(more, ==, 40);
    REQUIRE_COMPARE(Usage(kInnocent).refusals, ==, 0);
  } else {
    REQUIRE_COMPARE(more, <, 40);
    REQUIRE_COMPARE(Usage(kInnocent).refusals, >=, 1);
  }
  return 0;
}
