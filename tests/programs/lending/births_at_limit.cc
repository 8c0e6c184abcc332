// Threads come and go while others ask for what they are refused: there are no more contexts
// than threads that lived at once.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/check.h"
#include "tests/support/stats_file.h"

int main() {
  constexpr uint32_t kAtOnce = 8;
  constexpr uint32_t kHogs = 2;
  constexpr int kRounds = 150;
  std::atomic<bool> stop{false};
  std::vector<std::thread> hogs;
  for (uint32_t i = 0; i < kHogs; ++i) {
    hogs.emplace_back([&] {
      while (!stop.load()) {
        REQUIRE(malloc(HideSize(400 << 20)) == nullptr);
        REQUIRE(malloc(HideSize(500 << 20)) == nullptr);
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> brief;
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      brief.emplace_back([] {
        for (size_t size = 64; size < 2000; size += 50) free(Hide(malloc(size)));
      });
    }
    for (std::thread& thread : brief) thread.join();
  }
  stop.store(true);
  for (std::thread& hog : hogs) hog.join();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  // The main thread, and one of the library's own.
  REQUIRE_COMPARE(stats.header().thread_entries.load(), <=, kAtOnce + kHogs + 2);
}
