// Tasks that take turns and grow by 1 MiB each, with a nap after each step; what is refused is left
// out. Arguments: the steps, the tasks. Writes the first step that was refused, -1 for none, and
// how many were.
#include <time.h>

#include "tests/programs/support/tasks.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const int steps = atoi(argv[1]);
  const int tasks = atoi(argv[2]);
  Detach();
  // With the quota that the options give.
  for (int task = 0; task < tasks; ++task) {
    REQUIRE_COMPARE(taskmem_task_begin(kTask + static_cast<uint64_t>(task), nullptr), ==, 0);
  }
  int first = -1;
  int refused = 0;
  for (int step = 0; step < steps; ++step) {
    Attach(kTask + static_cast<uint64_t>(step % tasks));
    if (malloc(kMiB) == nullptr) {
      if (first < 0) first = step;
      ++refused;
    }
    const timespec nap = {0, 2'000'000};
    nanosleep(&nap, nullptr);
  }
  Detach();
  printf("%d %d\n", first, refused);
}
