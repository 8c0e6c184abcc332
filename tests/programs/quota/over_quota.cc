// Takes 32 MiB in blocks of 1 MiB with a quota of 16 MiB. Where nothing is
// refused (--at-limit overdraw) the books show what went over.
#include "tests/programs/support/tasks.h"

int main() {
  Begin(kTask, 16 * kMiB, "greedy");
  Attach(kTask);
  for (int i = 0; i < 32; ++i) {
    void* block = malloc(kMiB);
    REQUIRE(block != nullptr);
    Touch(block, kMiB);
  }
  const taskmem_usage usage = Usage(kTask);
  REQUIRE_COMPARE(usage.refusals, ==, 0);
  REQUIRE_COMPARE(usage.overdrafts, >=, 15);
  REQUIRE_COMPARE(usage.overdraft_bytes, >=, 16 * kMiB);
}
