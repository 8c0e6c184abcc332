// Tasks end while their threads allocate and others free their blocks: no byte
// is credited twice or never. The argument is the seed.
#include <malloc.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/ended_tasks.h"
#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr int kThreads = 4;
constexpr int kPlaces = 2000;
constexpr uint64_t kTasks = 3000;

std::atomic<void*> g_places[kPlaces];
std::atomic<uint64_t> g_task{kTask};
std::atomic<unsigned> g_batches{0};
std::atomic<bool> g_stop{false};

void Work(uint64_t seed) {
  uint64_t random = seed;
  while (!g_stop.load()) {
    // It may have ended since: then this thread goes on without one.
    if (taskmem_thread_attach(g_task.load(), nullptr) != 0) Detach();
    for (int i = 0; i < 200; ++i) {
      void* block = malloc(1 + NextRandom(&random) % (i % 40 == 0 ? 40000 : 400));
      free(g_places[NextRandom(&random) % kPlaces].exchange(block));
    }
    g_batches.fetch_add(1);
    g_batches.notify_one();
  }
  Detach();
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const uint64_t seed = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", static_cast<unsigned long long>(seed));
  fflush(stdout);
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  Begin(kTask);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back(Work, seed * 100 + static_cast<uint64_t>(i) + 1);
  }
  for (uint64_t task = kTask; task < kTask + kTasks; ++task) {
    Begin(task + 1);
    g_task.store(task + 1);
    End(task);
    g_batches.wait(g_batches.load());  // the next one
  }
  g_stop.store(true);
  for (std::thread& thread : threads) thread.join();
  End(kTask + kTasks);
  for (std::atomic<void*>& place : g_places) free(place.exchange(nullptr));
  RequireBooksMatchPages();
  malloc_trim(0);
  RequireBooksMatchPages();
  RequireNothingCharged(stats, kTask, kTask + kTasks + 1);
}
