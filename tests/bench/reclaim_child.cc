// Prints what asking spill hooks costs beyond the hooks' own time, a line each: NAME
// NANOSECONDS, the median of several measurements.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "shim/taskmem.h"
#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

constexpr uint64_t kTask = (uint64_t{1} << 40) + 1;
constexpr size_t kBlock = size_t{1} << 20;
constexpr int kBlocks = 64;
constexpr int kCount = 2000;

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void Check(bool is_right, const char* what) {
  if (is_right) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(3);
}

std::vector<void*> g_blocks;
double g_own_nanoseconds = 0;
int g_calls = 0;

uint64_t FreeNothing(void*, uint64_t, taskmem_consumer) {
  ++g_calls;
  return 0;
}

uint64_t FreeOne(void*, uint64_t, taskmem_consumer) {
  ++g_calls;
  const double start = Now();
  free(g_blocks.back());
  g_blocks.pop_back();
  g_own_nanoseconds += Now() - start;
  return kBlock;
}

// The median time of `body()`, which is called kCount times for each of nine measurements.
double Measure(auto body) {
  std::array<double, 9> costs;
  for (double& cost : costs) {
    g_own_nanoseconds = 0;
    const double start = Now();
    for (int i = 0; i < kCount; ++i) body();
    cost = (Now() - start - g_own_nanoseconds) / kCount;
  }
  std::sort(costs.begin(), costs.end());
  return costs[costs.size() / 2];
}

class Consumers {
 public:
  Consumers(int count, taskmem_spill_fn spill, int run_on) : ids_(count) {
    taskmem_consumer_options options = {};
    options.size = sizeof(options);
    options.spill = spill;
    options.used_bytes = kBlock;
    options.run_on = run_on;
    for (taskmem_consumer& id : ids_) {
      Check(taskmem_consumer_register(kTask, &options, &id) == 0, "cannot register");
    }
    g_calls = 0;
  }
  ~Consumers() {
    for (const taskmem_consumer id : ids_) (void)taskmem_consumer_unregister(id);
  }

 private:
  std::vector<taskmem_consumer> ids_;
};

void BeRefused() {
  void* block = malloc(kBlock);
  Escape(block);
  Check(block == nullptr, "was not refused");
}

double Refused(int consumers, int run_on) {
  const Consumers registered(consumers, FreeNothing, run_on);
  const double cost = Measure(BeRefused);
  Check(g_calls == consumers * kCount * 9, "a hook was not asked once for each request");
  return cost;
}

void Run() {
  const taskmem_options task = {sizeof(task), kBlocks * kBlock + kBlock / 2, "reclaim"};
  Check(taskmem_task_begin(kTask, &task) == 0 && taskmem_thread_attach(kTask) == 0, "no task");
  g_blocks.reserve(2 * kBlocks);
  for (int i = 0; i < kBlocks; ++i) g_blocks.push_back(malloc(kBlock));
  Measure(BeRefused);  // warm
  const double alone = Measure(BeRefused);
  std::printf("refused %.1f\n", alone);
  std::printf("noop %.1f\n", Refused(1, TASKMEM_ALLOCATING_THREAD) - alone);
  std::printf("noop-of-16 %.1f\n", (Refused(16, TASKMEM_ALLOCATING_THREAD) - alone) / 16);
  {
    const Consumers freeing(1, FreeOne, TASKMEM_ALLOCATING_THREAD);
    const double served = Measure([] {
      void* block = malloc(kBlock);
      Check(block != nullptr, "was refused");
      g_blocks.push_back(block);
    });
    Check(g_calls == kCount * 9, "a hook was not asked once for each request");
    std::printf("served %.1f\n", served);
  }
  // Last: its thread, which sleeps then, is looked at by every later request at the limit.
  std::printf("noop-reclaimer %.1f\n", Refused(1, TASKMEM_RECLAIMER_THREAD) - alone);
  // A request with room, without hooks.
  const double with_room = Measure([] {
    const double start = Now();
    free(g_blocks.back());
    g_own_nanoseconds += Now() - start;
    g_blocks.back() = malloc(kBlock);
  });
  std::printf("with-room %.1f\n", with_room);
}

}  // namespace
}  // namespace taskmem::bench

int main() { taskmem::bench::Run(); }
