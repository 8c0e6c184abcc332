// Several threads fork at the same time, with handlers of the program's own that
// allocate around each fork.
#include <pthread.h>

#include <thread>
#include <vector>

#include "tests/programs/support/wait_for.h"

namespace {

thread_local void* t_prepared = nullptr;

void Prepare() { t_prepared = malloc(1000); }

void Parent() { free(t_prepared); }

void Child() {
  free(t_prepared);
  free(malloc(100000));
}

void ForkOften() {
  for (int i = 0; i < 60; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      for (size_t size = 1; size < 500000; size *= 2) free(malloc(size));
      _exit(0);
    }
    free(malloc(3000));
    RequireChildSucceeds(child);
  }
}

}  // namespace

int main() {
  REQUIRE(pthread_atfork(Prepare, Parent, Child) == 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(ForkOften);
  for (std::thread& thread : threads) thread.join();
}
