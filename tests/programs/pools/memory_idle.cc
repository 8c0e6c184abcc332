// With --memory 64M: what 200 tasks have been granted and do not use keeps no other task from
// it; nor what 16 sleeping threads with a task each have freed.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/pools.h"

namespace {

constexpr uint64_t kTasks = 200;
constexpr uint64_t kThreads = 16;

uint64_t ChargedToAll() {
  uint64_t bytes = 0;
  for (uint64_t i = 1; i <= kTasks; ++i) bytes += Charged(kTask + i);
  return bytes;
}

// All that nobody has charged can be had.
void RequireRest(const taskmem::test::StatsFile& stats) {
  static Blocks blocks;
  const uint64_t untracked = stats.book(taskmem::kUntrackedSlot).charged_bytes.load();
  const uint64_t rest = 64 * kMiB - untracked - ChargedToAll() - Charged(kTask);
  Attach(kTask);
  REQUIRE_COMPARE(blocks.Take(), ==, rest / kMiB);
  RequirePoolsMatchBooks(stats);
  blocks.FreeAll();
  Detach();
}

}  // namespace

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  Begin(kTask);
  static void* small[kTasks];
  for (uint64_t i = 0; i < kTasks; ++i) {
    Begin(kTask + 1 + i);
    Attach(kTask + 1 + i);
    small[i] = malloc(100);
  }
  Detach();
  REQUIRE_COMPARE(ChargedToAll(), <, 4 * kMiB);
  RequireRest(stats);
  for (void* block : small) free(block);
  RequireRest(stats);

  // Threads that have allocated and freed much, and sleep.
  std::atomic<uint64_t> slept{0};
  std::atomic<bool> wake{false};
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Attach(kTask + 1 + i);
      static void* blocks[kThreads][500];
      for (void*& block : blocks[i]) block = malloc(4000);
      for (void* block : blocks[i]) free(block);
      slept.fetch_add(1);
      slept.notify_one();
      wake.wait(false);
    });
  }
  for (uint64_t n; (n = slept.load()) < kThreads;) slept.wait(n);
  Attach(kTask);
  static Blocks blocks;
  blocks.Take();
  REQUIRE_COMPARE(blocks.count(), >=, 58);
  blocks.FreeAll();
  Detach();
  wake.store(true);
  wake.notify_all();
  for (std::thread& thread : threads) thread.join();
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();
}
