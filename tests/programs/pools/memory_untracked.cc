// With --memory 64M: what no task owns is never refused, and lowers what tasks get. So does
// what ended tasks left behind.
#include "tests/programs/support/pools.h"

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  static Blocks untracked;
  static Blocks tracked;
  Begin(kTask);
  Detach();
  REQUIRE_COMPARE(untracked.Take(40), ==, 40);
  Attach(kTask);
  tracked.Take();
  REQUIRE_COMPARE(tracked.count(), >=, 22);
  REQUIRE_COMPARE(tracked.count(), <=, 24);
  Detach();
  REQUIRE_COMPARE(untracked.Take(140), ==, 100);
  Attach(kTask);
  REQUIRE_COMPARE(tracked.Take(), ==, 0);
  // Nor when it has freed some: but what it keeps ahead, at most 4 MiB.
  tracked.Free(10);
  REQUIRE_COMPARE(tracked.Take(), <=, 4);
  REQUIRE(malloc(size_t{1} << 50) == nullptr);
  Detach();
  untracked.FreeAll();
  Attach(kTask);
  tracked.Take();
  REQUIRE_COMPARE(tracked.count(), >=, 62);
  REQUIRE_COMPARE(tracked.count(), <=, 64);
  End(kTask);
  // The thread is untracked now, and what the task left is nobody's to take.
  REQUIRE(malloc(kMiB) != nullptr);
  Begin(kTask + 1);
  Attach(kTask + 1);
  static Blocks later;
  REQUIRE_COMPARE(later.Take(), ==, 0);
  tracked.Free(20);
  REQUIRE_COMPARE(later.Take(), >=, 18);
  REQUIRE_COMPARE(later.count(), <=, 20);
  RequirePoolsMatchBooks(stats);
  later.FreeAll();
  tracked.FreeAll();
  Detach();
  RequireBooksMatchPages();
  RequirePoolsMatchBooks(stats);
}
