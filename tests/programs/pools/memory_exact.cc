// With a minimum of 0 the tasks of 16 threads never hold more than --memory (64M) together,
// and nothing is refused before 97 % of it are in use. The argument is the seed.
#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "tests/programs/support/pools.h"

namespace {

constexpr uint64_t kThreads = 16;
constexpr uint64_t kMemory = 64 * kMiB;
constexpr int kRounds = 10;

std::atomic<uint64_t> g_at_first_refusal{0};

uint64_t ChargedToAll(const taskmem::test::StatsFile& stats) {
  uint64_t bytes = stats.book(taskmem::kUntrackedSlot).charged_bytes.load();
  for (uint64_t i = 0; i < kThreads; ++i) bytes += stats.Find(kTask + i)->charged_bytes.load();
  return bytes;
}

size_t RandomSize(uint64_t* random) {
  switch (NextRandom(random) % 4) {
    case 0: return 16 + NextRandom(random) % 500;
    case 1: return 16 + NextRandom(random) % 5000;
    case 2: return 16 + NextRandom(random) % (64 * 1024);
    default: return 48;
  }
}

void Work(uint64_t i, uint64_t seed, const taskmem::test::StatsFile& stats,
          std::vector<void*>& blocks, std::barrier<>& barrier) {
  uint64_t random = seed * 1000 + i + 1;
  Attach(kTask + i);
  for (int round = 0; round < kRounds; ++round) {
    barrier.arrive_and_wait();
    for (int refusals = 0; refusals < 100;) {
      void* block = malloc(RandomSize(&random));
      if (block != nullptr) {
        if (blocks.size() < blocks.capacity()) {
          blocks.push_back(block);
        } else {
          free(block);
        }
        continue;
      }
      if (g_at_first_refusal.load() == 0) {
        uint64_t none = 0;
        g_at_first_refusal.compare_exchange_strong(none, ChargedToAll(stats));
      }
      ++refusals;
      for (int n = 0; n < 5 && !blocks.empty(); ++n) {
        std::swap(blocks[NextRandom(&random) % blocks.size()], blocks.back());
        free(blocks.back());
        blocks.pop_back();
      }
    }
    barrier.arrive_and_wait();
    if (i == 0) {
      REQUIRE_COMPARE(ChargedToAll(stats), <=, kMemory);
      RequirePoolsMatchBooks(stats);
      RequireBooksMatchPages();
    }
    barrier.arrive_and_wait();
    // Some give up much.
    while (NextRandom(&random) % 100 != 0 && !blocks.empty()) {
      free(blocks.back());
      blocks.pop_back();
    }
  }
  for (void* block : blocks) free(block);
  Detach();
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const auto seed = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", seed);
  fflush(stdout);
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  std::barrier<> barrier(kThreads);
  std::vector<std::vector<void*>> blocks(kThreads);
  for (uint64_t i = 0; i < kThreads; ++i) {
    Begin(kTask + i);
    blocks[i].reserve(300'000);
  }
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back(Work, i, seed, std::cref(stats), std::ref(blocks[i]), std::ref(barrier));
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE_COMPARE(g_at_first_refusal.load(), >=, kMemory / 100 * 97);
  malloc_trim(0);
  for (uint64_t i = 0; i < kThreads; ++i) {
    const taskmem_usage usage = Usage(kTask + i);
    REQUIRE_COMPARE(usage.charged_bytes, ==, 0);
    REQUIRE_COMPARE(usage.overdrafts, ==, 0);
    REQUIRE_COMPARE(usage.refusals, >=, 100 * kRounds);
    End(kTask + i);
  }
  RequirePoolsMatchBooks(stats);
  REQUIRE_COMPARE(stats.header().pools.execution_used_bytes.load(), ==, 0);
}
