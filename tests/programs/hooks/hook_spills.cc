// A task whose cache has a hook takes many times its quota and is never refused, never above
// its quota, and what the hooks freed is in the stats.
//
//   hook_spills allocating|reclaimer BLOCK_BYTES THREADS
#include <thread>
#include <vector>

#include "accounting/tasks/reclaim_book.h"
#include "tests/programs/support/hooks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr uint64_t kQuota = 16 * kMiB;
constexpr uint64_t kTaken = 8 * kQuota;

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 4);
  const int run_on =
      strcmp(argv[1], "reclaimer") == 0 ? TASKMEM_RECLAIMER_THREAD : TASKMEM_ALLOCATING_THREAD;
  const size_t block_bytes = strtoul(argv[2], nullptr, 10);
  const int threads = atoi(argv[3]);
  static BlockCache cache(block_bytes);
  Begin(kTask, kQuota, "caching");
  cache.Register(kTask, "cache", run_on);
  std::vector<std::thread> working;
  for (int i = 0; i < threads; ++i) {
    working.emplace_back([&] {
      Attach(kTask);
      const int blocks = static_cast<int>(kTaken / block_bytes) / threads;
      for (int block = 0; block < blocks; ++block) {
        void* taken = malloc(block_bytes);
        // Another thread may be at its end with nothing in the cache.
        if (taken == nullptr && threads > 1) continue;
        REQUIRE(taken != nullptr);
        Touch(taken, block_bytes);
        cache.Keep(taken);
      }
      Detach();
    });
  }
  for (std::thread& thread : working) thread.join();
  const taskmem_usage usage = Usage(kTask);
  REQUIRE_COMPARE(usage.peak_charged_bytes, <=, kQuota);
  REQUIRE_COMPARE(usage.overdrafts, ==, 0);
  if (threads == 1) REQUIRE_COMPARE(usage.refusals, ==, 0);
  REQUIRE_COMPARE(cache.calls, >, 0);
  const auto stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  const taskmem::ReclaimBook* book = stats.FindReclaim(kTask);
  REQUIRE(book != nullptr);
  REQUIRE_COMPARE(book->spill_calls, ==, cache.calls);
  REQUIRE_COMPARE(book->spill_asked_bytes, >, 0);
  // Small blocks leave the task with their page, and serve its next ones before.
  if (block_bytes >= kMiB && threads == 1) {
    REQUIRE_COMPARE(book->spill_freed_bytes, >=, kTaken - 2 * kQuota);
  }
  REQUIRE_COMPARE(book->soft_spill_calls, ==, 0);
  REQUIRE_COMPARE(book->stalls, >, 0);
  REQUIRE_COMPARE(book->longest_stall_ns, >, 0);
  REQUIRE_COMPARE(taskmem_consumer_unregister(cache.consumer), ==, 0);
  cache.consumer = 0;
  cache.Free(UINT64_MAX);
  RequireBooksMatchPages();
  End(kTask);
}
