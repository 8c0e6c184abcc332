// A label is taken, cut where it is too long, and survives threads that set it at once, and a fork.
#include <sys/wait.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

int main() {
  REQUIRE_COMPARE(taskmem_set_label(nullptr), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_set_label(std::string(1000, 'x').c_str()), ==, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int k = 0; k < 1000; ++k) {
        const int error = taskmem_set_label(std::string(10 + i, 'a').c_str());
        REQUIRE(error == 0 || error == EAGAIN);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const pid_t child = fork();
  if (child == 0) _exit(taskmem_set_label("child"));
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE_COMPARE(status, ==, 0);
  REQUIRE_COMPARE(taskmem_set_label("second"), ==, 0);
}
