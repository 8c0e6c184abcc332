// With --memory 64M and quotas of 48 MiB: a task is refused what all tasks together may not
// hold, though it is below its quota, and gets what another gives up.
#include "tests/programs/support/pools.h"

namespace {

constexpr uint64_t kFirst = kTask;
constexpr uint64_t kSecond = kTask + 1;

void RequireRefused(void* result) {
  REQUIRE(result == nullptr);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
  errno = 0;
}

}  // namespace

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  static Blocks first;
  static Blocks second;
  Begin(kFirst, 48 * kMiB);
  Begin(kSecond, 48 * kMiB);
  Attach(kFirst);
  REQUIRE_COMPARE(first.Take(40), ==, 40);
  Attach(kSecond);
  errno = 0;
  const int got = second.Take();
  REQUIRE_COMPARE(errno, ==, ENOMEM);
  REQUIRE_COMPARE(got, >=, 22);
  REQUIRE_COMPARE(got, <=, 24);
  taskmem_usage usage = Usage(kSecond);
  REQUIRE_COMPARE(usage.charged_bytes, <, 25 * kMiB);
  REQUIRE_COMPARE(usage.refusals, ==, 1);
  REQUIRE_COMPARE(usage.overdrafts + usage.overdraft_bytes, ==, 0);
  REQUIRE_COMPARE(Usage(kFirst).refusals, ==, 0);
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();

  // Whatever the form of the request, and for the other task, too.
  errno = 0;
  RequireRefused(malloc(size_t{1} << 40));
  RequireRefused(calloc(4, kMiB));
  RequireRefused(memalign(4096, 4 * kMiB));
  RequireRefused(memalign(size_t{64} << 20, 4 * kMiB));
  void* grown = malloc(kMiB / 2);
  RequireRefused(realloc(grown, 8 * kMiB));
  free(grown);
  Attach(kFirst);
  errno = 0;
  RequireRefused(malloc(4 * kMiB));
  REQUIRE_COMPARE(Usage(kFirst).refusals, ==, 1);
  REQUIRE_COMPARE(Usage(kFirst).peak_charged_bytes, <, 42 * kMiB);
  REQUIRE_COMPARE(Usage(kSecond).peak_charged_bytes, <, 25 * kMiB);

  // A small request is let through, and what it draws is overdrawn.
  free(malloc(100));
  static void* small[8192];
  for (void*& block : small) {
    block = malloc(1024);
    REQUIRE(block != nullptr);
  }
  REQUIRE_COMPARE(stats.header().pools.overdrawn_bytes.load(), >, 2 * kMiB);
  RequirePoolsMatchBooks(stats);
  REQUIRE_COMPARE(Usage(kFirst).overdraft_bytes, ==, 0);
  for (void* block : small) free(block);
  malloc_trim(0);
  REQUIRE_COMPARE(stats.header().pools.overdrawn_bytes.load(), ==, 0);
  RequirePoolsMatchBooks(stats);

  // What the first gives up the second gets: no more, up to its quota.
  first.Free(10);
  Attach(kSecond);
  REQUIRE_COMPARE(second.Take(), ==, 10);
  Attach(kFirst);
  first.FreeAll();
  Attach(kSecond);
  second.Take();
  REQUIRE_COMPARE(second.count(), >=, 46);
  REQUIRE_COMPARE(second.count(), <=, 48);
  second.FreeAll();
  Detach();
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();
  End(kFirst);
  End(kSecond);
  malloc_trim(0);
  RequirePoolsMatchBooks(stats);
  REQUIRE_COMPARE(stats.header().pools.execution_used_bytes.load(), ==, 0);
}
