// The pools and the books add up while tasks hold far more untouched memory than the machine
// has, and when they have given it back. No --memory, no quota.
#include <sys/mman.h>

#include "tests/programs/support/pools.h"

namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

void RequireNoneLent(const taskmem::test::StatsFile& stats) {
  RequirePoolsMatchBooks(stats);
  REQUIRE_COMPARE(stats.header().pools.untouched_bytes.load(), ==, 0);
}

}  // namespace

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  Begin(kTask);
  Begin(kTask + 1);
  Attach(kTask);
  // So much that the default size of the pools is looked up.
  free(Hide(malloc(kMiB)));
  RequireNoneLent(stats);
  const uint64_t memory = stats.header().pools.memory_bytes.load();
  REQUIRE(memory != taskmem::kNoPool);
  // The kernel itself refuses what is larger than the machine at once.
  const uint64_t bytes = (memory / kGiB / 2 + 1) * kGiB;
  constexpr int kPieces = 2;
  const auto map = [bytes] {
    void* const got =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(got != MAP_FAILED);
    return got;
  };
  void* first[kPieces];
  for (void*& piece : first) piece = map();
  RequirePoolsMatchBooks(stats);
  REQUIRE_COMPARE(Charged(kTask), >=, kPieces * bytes);
  Attach(kTask + 1);
  void* const second = map();
  void* const block = malloc(HideSize(100 * kMiB));
  REQUIRE(block != nullptr);
  Touch(block, 100 * kMiB);
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();
  REQUIRE_COMPARE(stats.header().pools.untouched_bytes.load(), >=, bytes);
  REQUIRE_COMPARE(stats.header().pools.overdrawn_bytes.load(), ==, 0);
  REQUIRE_COMPARE(Usage(kTask).refusals + Usage(kTask + 1).refusals, ==, 0);
  for (void* piece : first) REQUIRE(munmap(piece, bytes) == 0);
  RequirePoolsMatchBooks(stats);
  free(block);
  REQUIRE(munmap(second, bytes) == 0);
  // So much that the default size of the pools is looked up.
  free(Hide(malloc(kMiB)));
  RequireNoneLent(stats);
  RequireBooksMatchPages();
}
