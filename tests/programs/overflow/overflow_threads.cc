// Threads take blocks of a task far beyond its quota, and other threads free them, also
// after thread and task have ended.
#include <pthread.h>

#include "tests/programs/support/overflow.h"

namespace {

constexpr uint64_t kQuota = 32 * kMiB;
constexpr int kThreads = 4;
constexpr size_t kBlocks = 60'000;

Filled blocks[kThreads][kBlocks];

size_t SizeOf(uint64_t* random) {
  const uint64_t kind = NextRandom(random) % 1000;
  if (kind == 0) return 256 << 10;
  return (kind < 50 ? 2048 + NextRandom(random) % 8192 : 16 + NextRandom(random) % 512) / 8 * 8;
}

void* Fill(void* argument) {
  const auto self = reinterpret_cast<uintptr_t>(argument);
  uint64_t random = self + 1;
  Attach(self % 2 == 0 ? kTask : kTask + 1);
  for (Filled& block : blocks[self]) block = Take(SizeOf(&random), random);
  return nullptr;
}

// Frees every other block of the next thread's, and takes one of its own instead.
void* Exchange(void* argument) {
  const auto self = reinterpret_cast<uintptr_t>(argument);
  uint64_t random = self + 100;
  Attach(self % 2 == 0 ? kTask : kTask + 1);
  for (size_t i = 0; i < kBlocks; i += 2) {
    Filled& block = blocks[(self + 1) % kThreads][i];
    REQUIRE(block.IsIntact());
    free(block.words);
    block = Take(SizeOf(&random), random);
  }
  return nullptr;
}

void RunAll(void* (*run)(void*)) {
  pthread_t threads[kThreads];
  for (uintptr_t i = 0; i < kThreads; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, run, reinterpret_cast<void*>(i)) == 0);
  }
  for (pthread_t thread : threads) REQUIRE(pthread_join(thread, nullptr) == 0);
}

void CheckAll() {
  for (const auto& row : blocks) {
    for (const Filled& block : row) REQUIRE(block.IsIntact());
  }
}

}  // namespace

int main() {
  for (int round = 0; round < 2; ++round) {
    Begin(kTask, kQuota);
    Begin(kTask + 1, kQuota);
    RunAll(Fill);
    CheckAll();
    RequireBooksMatchPages();
    RunAll(Exchange);
    CheckAll();
    RequireBooksMatchPages();
    REQUIRE_COMPARE(Usage(kTask).refusals, ==, 0);
    REQUIRE_COMPARE(Usage(kTask).overdrafts, ==, 0);
    End(kTask);
    End(kTask + 1);
    CheckAll();
    RequireBooksMatchPages();
    for (const auto& row : blocks) {
      for (const Filled& block : row) free(block.words);
    }
    RequireBooksMatchPages();
  }
  return 0;
}
