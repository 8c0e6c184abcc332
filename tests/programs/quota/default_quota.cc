// A task begun without a quota has the one of the process (--quota 8M).
#include "tests/programs/support/tasks.h"

int main() {
  Detach();
  REQUIRE_COMPARE(taskmem_task_begin(kTask, nullptr), ==, 0);
  Begin(kTask + 1, 0);
  Begin(kTask + 2, TASKMEM_NO_QUOTA);
  REQUIRE_COMPARE(Usage(kTask).quota_bytes, ==, 8 * kMiB);
  REQUIRE_COMPARE(Usage(kTask + 1).quota_bytes, ==, 8 * kMiB);
  REQUIRE(Usage(kTask + 2).quota_bytes == TASKMEM_NO_QUOTA);
  Attach(kTask + 1);
  REQUIRE(malloc(16 * kMiB) == nullptr);
  Attach(kTask + 2);
  void* block = malloc(16 * kMiB);
  REQUIRE(block != nullptr);
  free(block);
  // Untracked memory is never refused.
  Detach();
  block = malloc(64 * kMiB);
  REQUIRE(block != nullptr);
  free(block);
}
