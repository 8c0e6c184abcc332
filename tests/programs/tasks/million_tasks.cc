// A million tasks, one after the other, each leaves a block of 16 bytes behind:
// memory stays bounded, the sums stay exact, and every block is still its own.
#include <malloc.h>

#include <vector>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr uint64_t kTasks = 1000000;

}  // namespace

int main() {
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  std::vector<uint64_t*> blocks(kTasks);
  const uint64_t before = stats.ChargedBytes();
  for (uint64_t i = 0; i < kTasks; ++i) {
    Begin(kTask + i);
    Attach(kTask + i);
    blocks[i] = static_cast<uint64_t*>(malloc(16));
    *blocks[i] = i;
    REQUIRE(i % 1000 != 0 || OwnerOf(blocks[i]) == kTask + i);
    End(kTask + i);
    if (i % 10000 == 0) REQUIRE_COMPARE(stats.ChargedBytes(), >=, before + 16 * (i + 1));
  }
  REQUIRE_COMPARE(ResidentBytes(), <, 300 * kMiB);
  REQUIRE_COMPARE(stats.header().tasks_begun.load(), >=, kTasks);
  REQUIRE(stats.header().tasks_folded.load() > 0);
  RequireBooksMatchPages();
  // One thread allocates; its part of the total is exact to 64 KiB.
  const auto sum = static_cast<int64_t>(stats.ChargedBytes());
  const auto total = static_cast<int64_t>(stats.header().charged_bytes.load());
  REQUIRE_COMPARE(llabs(sum - total), <=, 64 * 1024);
  for (uint64_t i = 0; i < kTasks; ++i) {
    REQUIRE(*blocks[i] == i);
    free(blocks[i]);
  }
  malloc_trim(0);
  REQUIRE_COMPARE(stats.book(taskmem::kEndedTasksSlot).charged_bytes.load(), ==, 0);
  for (uint32_t slot = taskmem::kFirstTaskSlot; slot < stats.slots(); ++slot) {
    if (stats.book(slot).task_id.load() < kTask) continue;
    if (stats.book(slot).task_id.load() >= kTask + kTasks) continue;
    REQUIRE_COMPARE(stats.book(slot).charged_bytes.load(), ==, 0);
  }
}
