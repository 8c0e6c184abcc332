// With --memory 64M and early_task_library.so: 35 MiB were taken before there were pools,
// and count; the tasks go on under the limit.
#include <dlfcn.h>

#include "tests/programs/support/pools.h"

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  const auto take_block = reinterpret_cast<void* (*)(int)>(dlsym(RTLD_DEFAULT, "TakeEarlyBlock"));
  REQUIRE(take_block != nullptr);
  REQUIRE_COMPARE(Charged(kTask), >=, 20 * kMiB);
  REQUIRE_COMPARE(Charged(kTask + 1), >=, 10 * kMiB);
  RequirePoolsMatchBooks(stats);
  static Blocks blocks;
  Attach(kTask);
  blocks.Take();
  REQUIRE_COMPARE(blocks.count(), >=, 26);
  REQUIRE_COMPARE(blocks.count(), <=, 29);
  RequirePoolsMatchBooks(stats);
  free(take_block(1));
  REQUIRE_COMPARE(blocks.Take(), ==, 10);
  free(take_block(0));
  REQUIRE_COMPARE(blocks.Take(), ==, 20);
  blocks.FreeAll();
  Detach();
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();
}
