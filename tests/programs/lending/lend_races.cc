// Threads that allocate, free each other's blocks, change tasks and sleep, while others at
// their quota have every sleeping thread's heap collected: no block loses its content, and the
// books are right. The arguments are how long, in milliseconds, and the seed.
#include <malloc.h>
#include <time.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr int kWorkers = 5;
constexpr int kCollectors = 2;
constexpr int kTasks = 3;
constexpr uint64_t kFull = kTask + 100;
constexpr size_t kShared = 256;

struct Block {
  unsigned char* bytes;
  uint32_t size;
  uint32_t seed;
};

std::atomic<Block*> g_shared[kShared];
std::atomic<bool> g_stop{false};

Block* Make(uint64_t* random) {
  static const size_t kMost[] = {64, 200, 1000, 1024, 5000, 40000, 300000};
  const uint64_t kind = NextRandom(random) % 64;
  const size_t most = kMost[kind < 60 ? kind % 4 : kind % 3 + 4];
  auto* block = static_cast<Block*>(malloc(sizeof(Block)));
  REQUIRE(block != nullptr);
  block->size = static_cast<uint32_t>(1 + NextRandom(random) % most);
  block->seed = static_cast<uint32_t>(NextRandom(random));
  block->bytes = static_cast<unsigned char*>(malloc(block->size));
  REQUIRE(block->bytes != nullptr);
  FillPattern(block->bytes, block->size, block->seed);
  return block;
}

void Drop(Block* block) {
  if (block == nullptr) return;
  REQUIRE(HasPattern(block->bytes, block->size, block->seed));
  free(block->bytes);
  free(block);
}

void Nap(uint64_t* random) {
  const uint64_t most_ns = NextRandom(random) % 2 == 0 ? 50'000 : 1'000'000;
  const timespec nap = {0, static_cast<long>(NextRandom(random) % most_ns)};
  nanosleep(&nap, nullptr);
}

void Work(uint64_t seed) {
  uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;
  Block* own[64] = {};
  while (!g_stop.load(std::memory_order_relaxed)) {
    for (uint64_t i = 0, n = NextRandom(&random) % 40; i < n; ++i) {
      const uint64_t what = NextRandom(&random);
      Block*& mine = own[what % 64];
      if ((what >> 8) % 8 == 0) {
        // What another thread made may be freed here, and the other way round.
        Drop(g_shared[(what >> 16) % kShared].exchange(mine));
        mine = nullptr;
      } else {
        Drop(mine);
        mine = (what >> 32) % 4 == 0 ? nullptr : Make(&random);
      }
    }
    if (NextRandom(&random) % 4 == 0) Attach(kTask + NextRandom(&random) % kTasks);
    if (NextRandom(&random) % 2 == 0) Nap(&random);
  }
  for (Block* block : own) Drop(block);
}

// The workers' threads come and go, too.
void WorkInTurns(uint64_t seed) {
  while (!g_stop.load()) {
    std::thread([&] {
      uint64_t random = ++seed * 0x9e3779b97f4a7c15u | 1;
      Attach(kTask + NextRandom(&random) % kTasks);
      Block* own[16] = {};
      for (Block*& block : own) block = Make(&random);
      Nap(&random);
      for (Block* block : own) Drop(block);
    }).join();
  }
}

// At its limit, and by asking for all that is free.
void Collect() {
  Attach(kFull);
  while (!g_stop.load()) {
    REQUIRE(malloc(HideSize(8 * kMiB)) == nullptr);
    malloc_trim(0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const long run_ms = atol(argv[1]);
  const auto seed = strtoull(argv[2], nullptr, 10);
  printf("seed %llu\n", seed);
  fflush(stdout);
  for (uint64_t i = 0; i < kTasks; ++i) Begin(kTask + i);
  Begin(kFull, 4 * kMiB);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) threads.emplace_back(Work, seed * 100 + i);
  threads.emplace_back(WorkInTurns, seed * 100 + 50);
  for (int i = 0; i < kCollectors; ++i) threads.emplace_back(Collect);
  const timespec run = {run_ms / 1000, run_ms % 1000 * 1'000'000};
  nanosleep(&run, nullptr);
  g_stop.store(true);
  for (std::thread& thread : threads) thread.join();
  for (std::atomic<Block*>& block : g_shared) Drop(block.exchange(nullptr));
  RequireBooksMatchPages();
}
