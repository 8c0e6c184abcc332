// Fork while four threads allocate: each child allocates, frees, starts a thread
// and ends well. Odd children run their exit handlers, even ones do not.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/wait_for.h"

namespace {

constexpr int kForks = 300;

std::atomic<bool> g_stop{false};

void Churn(unsigned seed) {
  uint64_t random = seed;
  constexpr int kBlocks = 100;
  void* blocks[kBlocks] = {};
  while (!g_stop.load()) {
    void*& block = blocks[NextRandom(&random) % kBlocks];
    free(block);
    block = malloc(NextRandom(&random) % (NextRandom(&random) % 100 == 0 ? 1000000 : 3000));
  }
  for (void* block : blocks) free(block);
}

void ChildWork() {
  std::vector<void*> blocks;
  for (size_t size = 1; size < 3000000; size = size * 3 / 2 + 1) {
    blocks.push_back(malloc(size));
    FillPattern(blocks.back(), size < 1000 ? size : 1000, 1);
  }
  std::thread([] {
    void* block = malloc(5000);
    FillPattern(block, 5000, 2);
    REQUIRE(HasPattern(block, 5000, 2));
    free(block);
  }).join();
  for (void* block : blocks) free(block);
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (unsigned i = 1; i <= 4; ++i) threads.emplace_back(Churn, i);
  for (int i = 0; i < kForks; ++i) {
    void* from_parent = malloc(200);
    FillPattern(from_parent, 200, 8);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      ChildWork();
      REQUIRE(HasPattern(from_parent, 200, 8));
      free(from_parent);
      if (i % 2 == 0) _exit(0);
      exit(0);
    }
    RequireChildSucceeds(child);
    REQUIRE(HasPattern(from_parent, 200, 8));
    free(from_parent);
  }
  g_stop.store(true);
  for (std::thread& thread : threads) thread.join();
}
