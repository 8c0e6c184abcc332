// Tasks that take turns and grow by 1 MiB each, with a nap after each step; what is refused is left
// out. Arguments: the steps, the tasks, and "waves": then all is given back after 8 steps, after 16
// more, after 24 more... Writes the first step that was refused, -1 for none, and how many were;
// and when each step was made (CLOCK_MONOTONIC, ns).
#include <time.h>

#include <utility>

#include "tests/programs/support/tasks.h"

namespace {

constexpr int kMostSteps = 4096;
void* g_held[kMostSteps];
long long g_times[kMostSteps];

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const int steps = atoi(argv[1]);
  REQUIRE(steps <= kMostSteps);
  const bool has_waves = argc > 3;
  const int tasks = atoi(argv[2]);
  Detach();
  // With the quota that the options give.
  for (int task = 0; task < tasks; ++task) {
    REQUIRE_COMPARE(taskmem_task_begin(kTask + static_cast<uint64_t>(task), nullptr), ==, 0);
  }
  int first = -1;
  int refused = 0;
  int wave = 0;
  int wave_end = 0;
  for (int step = 0; step < steps; ++step) {
    if (has_waves && step == wave_end) {
      for (void*& block : g_held) free(std::exchange(block, nullptr));
      wave_end += 8 * ++wave;
    }
    Attach(kTask + static_cast<uint64_t>(step % tasks));
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    g_times[step] = now.tv_sec * 1'000'000'000LL + now.tv_nsec;
    g_held[step] = malloc(kMiB);
    if (g_held[step] == nullptr) {
      if (first < 0) first = step;
      ++refused;
    }
    const timespec nap = {0, 2'000'000};
    nanosleep(&nap, nullptr);
  }
  Detach();
  printf("%d %d\n", first, refused);
  for (int step = 0; step < steps; ++step) printf("%lld\n", g_times[step]);
}
