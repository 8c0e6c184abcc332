// A program that gets on, and is refused something at every turn: as often as the first
// argument says, never let through.
#include "tests/programs/support/tasks.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const uint64_t times = strtoull(argv[1], nullptr, 10);
  Begin(kTask, 24 * kMiB, "often");
  Attach(kTask);
  for (uint64_t i = 0; i < times; ++i) {
    void* const held = malloc(8 * kMiB);
    REQUIRE(held != nullptr);
    REQUIRE(malloc(20 * kMiB) == nullptr);
    free(held);
    void* const block = malloc(20 * kMiB);
    REQUIRE(block != nullptr);
    free(block);
  }
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, times);
  REQUIRE_COMPARE(Usage(kTask).overdrafts, ==, 0);
}
