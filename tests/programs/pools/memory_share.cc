// With --memory 64M: with --share spark a task gets 1/N of it, N the tasks that hold some,
// and grows when others end; with --share none it gets all. The argument is the rule.
#include "tests/programs/support/pools.h"

namespace {

constexpr uint64_t kOthers = 3;

void RequireAbout(int count, int expected) {
  REQUIRE_COMPARE(count, >=, expected - 1);
  REQUIRE_COMPARE(count, <=, expected);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const bool is_spark = strcmp(argv[1], "spark") == 0;
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  static Blocks blocks;
  void* others[kOthers];
  for (uint64_t i = 0; i < kOthers; ++i) {
    Begin(kTask + 1 + i);
    Attach(kTask + 1 + i);
    others[i] = malloc(1000);
  }
  // Tasks that never allocated do not count.
  for (uint64_t i = 100; i < 200; ++i) Begin(kTask + i);
  Begin(kTask);
  Attach(kTask);
  blocks.Take();
  if (!is_spark) {
    REQUIRE_COMPARE(blocks.count(), >=, 62);
    return 0;
  }
  RequireAbout(blocks.count(), 16);
  REQUIRE_COMPARE(stats.header().pools.active_tasks.load(), ==, 4);
  RequirePoolsMatchBooks(stats);

  // One ends with what it holds, one without, one is still there and frees all.
  End(kTask + 1);
  blocks.Take();
  RequireAbout(blocks.count(), 21);
  free(others[1]);
  End(kTask + 2);
  blocks.Take();
  RequireAbout(blocks.count(), 32);
  free(others[2]);
  malloc_trim(0);
  blocks.Take();
  REQUIRE_COMPARE(blocks.count(), >=, 62);
  REQUIRE_COMPARE(stats.header().pools.active_tasks.load(), ==, 1);
  RequirePoolsMatchBooks(stats);

  // Nothing is taken from who has more than a part; the other gets none.
  Attach(kTask + 3);
  REQUIRE(malloc(4 * kMiB) == nullptr);
  Attach(kTask);
  blocks.Free(40);
  REQUIRE_COMPARE(Usage(kTask + 3).refusals, ==, 1);
  Attach(kTask + 3);
  static Blocks newcomer;
  newcomer.Take();
  RequireAbout(newcomer.count(), 32);
  Attach(kTask);
  blocks.Take();
  RequireAbout(blocks.count(), 32);
  Detach();
  free(others[0]);
  RequirePoolsMatchBooks(stats);
}
