// What threads that have ended left free counts against --memory (64M), and is given back before
// anything is refused.
#include "tests/programs/support/pools.h"
#include "tests/programs/support/spike.h"

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  // Of no task; all at once, so that each thread has segments of its own.
  const uint64_t before = ResidentBytes();
  SpikeInThreads(3, 1);
  Begin(kTask);
  Attach(kTask);
  Blocks blocks;
  REQUIRE_COMPARE(blocks.Take(), >=, 56);
  REQUIRE_COMPARE(ResidentBytes() - before, <=, 72 * kMiB);
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();
  blocks.FreeAll();
}
