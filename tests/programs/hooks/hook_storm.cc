// Threads that work for tasks with caches, whose hooks run on both kinds of threads, while
// consumers come and go, tasks end and begin anew, and the process forks. At the end the books
// say what the pages say.
//
//   hook_storm SEED
#include <memory>
#include <thread>
#include <vector>

#include "tests/programs/support/hooks.h"
#include "tests/programs/support/wait_for.h"

namespace {

constexpr uint64_t kTasks = 3;
constexpr int kThreads = 6;
constexpr int kSteps = 4000;
constexpr uint64_t kQuota = 8 * kMiB;

struct Worker {
  uint64_t random;
  BlockCache cache{300'000};

  uint64_t Next(uint64_t below) { return NextRandom(&random) % below; }

  void Register() {
    taskmem_consumer_options options = {};
    options.size = sizeof(options);
    options.spill = BlockCache::Spill;
    options.context = &cache;
    options.run_on = static_cast<int>(Next(2));
    taskmem_consumer consumer = 0;
    // The task may be between two lives.
    if (taskmem_consumer_register(kTask + Next(kTasks), &options, &consumer) == 0) {
      cache.consumer = consumer;
    }
  }
  void Unregister() {
    const int result = taskmem_consumer_unregister(cache.consumer.exchange(0));
    REQUIRE(result == 0 || result == ENOENT);
  }
  void BeginAnew() {
    const uint64_t task = kTask + Next(kTasks);
    taskmem_task_end(task, nullptr);
    const taskmem_options options = {sizeof(options), kQuota, "storm"};
    taskmem_task_begin(task, &options);
  }
  void Fork() {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      for (int i = 0; i < 40; ++i) Take();
      _exit(0);
    }
    RequireChildSucceeds(child);
  }
  void Take() {
    void* block = malloc(300'000);
    if (block != nullptr) {
      Touch(block, 300'000);
      cache.Keep(block);
    }
  }

  void Work() {
    for (int step = 0; step < kSteps; ++step) {
      const uint64_t choice = Next(1000);
      if (choice < 50) {
        taskmem_thread_attach(kTask + Next(kTasks), nullptr);
      } else if (choice < 70) {
        Unregister();
        Register();
      } else if (choice < 73) {
        BeginAnew();
      } else if (choice == 73) {
        Fork();
      } else if (choice < 100) {
        cache.Free(Next(kMiB));
      } else {
        Take();
      }
    }
    Detach();
    Unregister();
  }
};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  const uint64_t seed = strtoull(argv[1], nullptr, 10);
  for (uint64_t task = 0; task < kTasks; ++task) Begin(kTask + task, kQuota, "storm");
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    workers.push_back(std::make_unique<Worker>());
    workers.back()->random = seed * 1000 + static_cast<uint64_t>(i) + 1;
  }
  for (auto& worker : workers) threads.emplace_back([&] { worker->Work(); });
  for (std::thread& thread : threads) thread.join();
  for (auto& worker : workers) worker->cache.Free(UINT64_MAX);
  for (uint64_t task = 0; task < kTasks; ++task) {
    const taskmem_usage usage = Usage(kTask + task);
    REQUIRE_COMPARE(usage.charged_bytes, <=, kQuota);
    End(kTask + task);
  }
  RequireBooksMatchPages();
}
