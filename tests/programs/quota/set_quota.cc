// A quota is raised, lowered below what is held, and lifted while the task works.
#include "tests/programs/support/tasks.h"

namespace {

void SetQuota(uint64_t bytes) { REQUIRE_COMPARE(taskmem_task_set_quota(kTask, bytes), ==, 0); }

}  // namespace

int main() {
  Begin(kTask, 8 * kMiB);
  Attach(kTask);
  void* first = malloc(6 * kMiB);
  REQUIRE(first != nullptr);
  REQUIRE(malloc(6 * kMiB) == nullptr);
  SetQuota(16 * kMiB);
  void* second = malloc(6 * kMiB);
  REQUIRE(second != nullptr);
  REQUIRE_COMPARE(Usage(kTask).quota_bytes, ==, 16 * kMiB);

  SetQuota(4 * kMiB);
  const taskmem_usage lowered = Usage(kTask);
  REQUIRE_COMPARE(lowered.quota_bytes, ==, 4 * kMiB);
  REQUIRE_COMPARE(lowered.overdraft_bytes, ==, lowered.charged_bytes - 4 * kMiB);
  Touch(first, 6 * kMiB);
  REQUIRE(malloc(kMiB) == nullptr);
  free(first);
  REQUIRE(malloc(kMiB) == nullptr);
  free(second);
  void* third = malloc(kMiB);
  REQUIRE(third != nullptr);
  REQUIRE_COMPARE(Usage(kTask).overdraft_bytes, ==, 0);

  SetQuota(TASKMEM_NO_QUOTA);
  void* fourth = malloc(100 * kMiB);
  REQUIRE(fourth != nullptr);
  free(fourth);
  free(third);
}
