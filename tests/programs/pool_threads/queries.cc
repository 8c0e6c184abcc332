// queries LIBRARY: several queries at once, each a task's, of which a library's pool does the work:
// every block that is allocated for a query is its task's.
#include <dlfcn.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/pool_threads/unit.h"
#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr int kQueries = 4;
constexpr int kRounds = 5;
constexpr int kUnits = 60;
constexpr size_t kBlocks = 300;

struct Work {
  std::vector<void*> blocks = std::vector<void*>(kBlocks);
  unsigned seed = 1;
};

void Allocate(void* argument) {
  auto* const work = static_cast<Work*>(argument);
  uint64_t random = work->seed;
  for (void*& block : work->blocks) {
    const uint64_t number = NextRandom(&random);
    block = malloc(number % 100 == 0 ? 40'000 + number % 100'000 : 16 + number % 1000);
    REQUIRE(block != nullptr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto start = reinterpret_cast<void (*)(int)>(dlsym(library, "StartPool"));
  const auto run = reinterpret_cast<void (*)(const Unit*, int)>(dlsym(library, "RunQuery"));
  REQUIRE(start != nullptr && run != nullptr);
  start(3);
  std::vector<std::thread> threads;
  std::atomic<long> wrong{0};
  for (int query = 0; query < kQueries; ++query) {
    threads.emplace_back([&, query] {
      for (int round = 0; round < kRounds; ++round) {
        const uint64_t task = kTask + static_cast<uint64_t>(query * kRounds + round);
        Begin(task);
        Attach(task);
        std::vector<Work> works(kUnits);
        std::vector<Unit> units;
        for (int i = 0; i < kUnits; ++i) {
          works[static_cast<size_t>(i)].seed = static_cast<unsigned>(1 + i + 100 * query);
          units.push_back({Allocate, &works[static_cast<size_t>(i)]});
        }
        run(units.data(), kUnits);
        for (const Work& work : works) {
          for (void* block : work.blocks) {
            if (OwnerOf(block) != task) ++wrong;
            free(block);
          }
        }
        Detach();
        End(task);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE_COMPARE(wrong.load(), ==, 0);
  _exit(0);  // the pool's threads are still there
}
