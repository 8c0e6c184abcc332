// Retries one refused request until it is let through, and checks after how many
// refusals (first argument) that was; what is let through starts the count anew.
#include "tests/programs/support/tasks.h"

namespace {

uint64_t RefusalsUntilSuccess(size_t size) {
  uint64_t refusals = 0;
  for (;;) {
    void* block = malloc(size);
    if (block != nullptr) {
      free(block);
      return refusals;
    }
    REQUIRE_COMPARE(++refusals, <, 100000);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const uint64_t budget = strtoull(argv[1], nullptr, 10);
  Begin(kTask, 8 * kMiB, "stubborn");
  Attach(kTask);
  REQUIRE_COMPARE(RefusalsUntilSuccess(16 * kMiB), ==, budget);
  REQUIRE_COMPARE(Usage(kTask).overdrafts, ==, 1);
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, budget);
  for (uint64_t i = 0; i < budget - 1; ++i) REQUIRE(malloc(16 * kMiB) == nullptr);
  void* large = malloc(7 * kMiB);
  REQUIRE(large != nullptr);
  free(large);
  // Neither something smaller nor another size makes those refusals forgotten.
  REQUIRE(malloc(17 * kMiB) == nullptr);
  REQUIRE_COMPARE(RefusalsUntilSuccess(18 * kMiB), ==, 0);
  REQUIRE_COMPARE(RefusalsUntilSuccess(18 * kMiB), ==, budget);
}
