// Prints what calls cost in this process, a line each: NAME NANOSECONDS, the
// median of several measurements. Without taskmem only malloc is measured.
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

// Above any process id: the id of the task that the process itself is.
constexpr uint64_t kTasks[] = {(uint64_t{1} << 40) + 1, (uint64_t{1} << 40) + 2};
constexpr uint64_t kShortTask = uint64_t{2} << 40;

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// `body(count)` does something `count` times.
void Print(const char* name, int count, auto body) {
  body(count / 10);  // warm: heaps exist, pages are touched
  std::array<double, 9> costs;
  for (double& cost : costs) {
    const double start = Now();
    body(count);
    cost = (Now() - start) / count;
  }
  std::sort(costs.begin(), costs.end());
  std::printf("%s %.3f\n", name, costs[costs.size() / 2]);
}

// A call that is refused costs nothing: its time would be a lie.
void Check(int error) {
  if (error == 0) return;
  std::fprintf(stderr, "a call of the API gave error %d\n", error);
  std::exit(3);
}

// Enough of each size that the task has a heap of its own for it.
std::vector<void*> Fill() {
  std::vector<void*> blocks;
  for (size_t bytes = 16; bytes <= 1024; bytes *= 2) {
    for (int i = 0; i < 4096; ++i) blocks.push_back(malloc(bytes));
  }
  return blocks;
}

void PingPong(int count) {
  for (int i = 0; i < count; ++i) {
    void* block = malloc(64);
    Escape(block);
    free(block);
  }
}

void PrintMallocs(const char* same_name, const char* random_name) {
  Print(same_name, 10'000'000, PingPong);
  Random random(1);
  std::vector<void*> live(4096, nullptr);
  Print(random_name, 4'000'000, [&](int count) {
    for (int i = 0; i < count; ++i) {
      void*& block = live[random.Below(live.size())];
      free(block);
      block = malloc(random.Between(16, 1000));
      Escape(block);
    }
  });
  for (void* block : live) free(block);
}

void PrintApi() {
  std::vector<void*> blocks;
  for (const uint64_t task : kTasks) {
    Check(taskmem_task_begin(task, nullptr));
    Check(taskmem_thread_attach(task));
    const std::vector<void*> filled = Fill();
    blocks.insert(blocks.end(), filled.begin(), filled.end());
  }
  Print("attach", 20'000'000, [](int count) {
    int errors = 0;
    for (int i = 0; i < count; ++i) errors |= taskmem_thread_attach(kTasks[i & 1]);
    Check(errors);
  });
  Print("attach-malloc-free", 10'000'000, [](int count) {
    for (int i = 0; i < count; ++i) {
      taskmem_thread_attach(kTasks[i & 1]);
      PingPong(1);
    }
  });
  PrintMallocs("malloc-free-same-in-task", "malloc-free-random-in-task");
  Check(taskmem_thread_detach());
  Print("begin-end", 200'000, [](int count) {
    int errors = 0;
    for (int i = 0; i < count; ++i) {
      errors |= taskmem_task_begin(kShortTask + static_cast<uint64_t>(i), nullptr);
      errors |= taskmem_task_end(kShortTask + static_cast<uint64_t>(i), nullptr);
    }
    Check(errors);
  });
  Print("begin-attach-malloc-free-end", 100'000, [](int count) {
    int errors = 0;
    for (int i = 0; i < count; ++i) {
      const uint64_t task = kShortTask + static_cast<uint64_t>(i);
      errors |= taskmem_task_begin(task, nullptr);
      errors |= taskmem_thread_attach(task);
      PingPong(1);
      errors |= taskmem_task_end(task, nullptr);
    }
    Check(errors);
  });
  for (void* block : blocks) free(block);
}

}  // namespace
}  // namespace taskmem::bench

int main() {
  using namespace taskmem::bench;
  PrintMallocs("malloc-free-same", "malloc-free-random");
  if (taskmem_version() != nullptr) PrintApi();
  return 0;
}
