// A child has the blocks that were in memory, as its own; those that were on disk alone are
// the parent's. With "threads" others use blocks all the time.
#include <sys/wait.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/blocks.h"

namespace {

constexpr int kBlocks = 40;

std::string Name(int i) { return "block" + std::to_string(i); }

int InChild(int resident) {
  alarm(60);  // a child that hangs fails
  int there = 0;
  for (int i = 0; i < kBlocks; ++i) {
    if (!Contains(Name(i))) continue;
    ++there;
    REQUIRE(Where(Name(i)).rfind("memory", 0) == 0);
    RequirePattern(Name(i), kMiB);
  }
  if (resident >= 0) REQUIRE_COMPARE(there, ==, resident);
  REQUIRE(!Contains("on disk"));
  REQUIRE_COMPARE(PutPattern("on disk", kMiB, TASKMEM_DISK_ONLY), ==, 0);
  RequirePattern("on disk", kMiB);
  // Blocks go to the child's own disk, and come back.
  for (int i = 0; i < kBlocks; ++i) {
    REQUIRE_COMPARE(PutPattern("child" + std::to_string(i), kMiB), ==, 0);
  }
  for (int i = 0; i < kBlocks; ++i) RequirePattern("child" + std::to_string(i), kMiB);
  for (int i = 0; i < kBlocks; ++i) {
    if (Contains(Name(i))) RequirePattern(Name(i), kMiB);
  }
  return 0;
}

}  // namespace

int main(int, char** argv) {
  const bool has_threads = argv[1] == std::string("threads");
  for (int i = 0; i < kBlocks; ++i) REQUIRE_COMPARE(PutPattern(Name(i), kMiB), ==, 0);
  REQUIRE_COMPARE(PutPattern("on disk", kMiB, TASKMEM_DISK_ONLY), ==, 0);
  int resident = 0;
  for (int i = 0; i < kBlocks; ++i) resident += Where(Name(i)).rfind("memory", 0) == 0;
  REQUIRE_COMPARE(resident, <, kBlocks);
  REQUIRE_COMPARE(resident, >, 20);

  std::atomic<bool> ends{false};
  std::vector<std::thread> threads;
  for (int t = 0; has_threads && t < 3; ++t) {
    threads.emplace_back([&, t] {
      uint64_t random = 12345 + static_cast<uint64_t>(t);
      while (!ends.load()) {
        RequirePattern(Name(static_cast<int>(NextRandom(&random) % kBlocks)), kMiB);
        const std::string own = "thread" + std::to_string(t);
        REQUIRE_COMPARE(PutPattern(own, kMiB, TASKMEM_MEMORY_ONLY), ==, 0);
        const int removed = taskmem_block_remove(own.c_str());
        REQUIRE(removed == 0 || removed == ENOENT);  // evicted
      }
    });
  }
  for (int round = 0; round < (has_threads ? 5 : 1); ++round) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) _exit(InChild(has_threads ? -1 : resident));
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE_COMPARE(status, ==, 0);
  }
  ends.store(true);
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kBlocks; ++i) RequirePattern(Name(i), kMiB);
  RequirePattern("on disk", kMiB);
  return 0;
}
