// vfork with exec, vfork whose child allocates and leaves, and posix_spawn, while
// other threads allocate. The program runs itself with an argument.
#include <spawn.h>

#include <atomic>
#include <thread>

#include "tests/programs/support/wait_for.h"

extern char** environ;

namespace {

char g_self[] = "/proc/self/exe";
char g_argument[] = "child";
char* g_arguments[] = {g_self, g_argument, nullptr};

int RunAsChild() {
  void* block = malloc(100000);
  FillPattern(block, 100000, 1);
  REQUIRE(HasPattern(block, 100000, 1));
  free(block);
  return 0;
}

pid_t VforkAndExec() {
  const pid_t child = vfork();
  if (child == 0) {
    execve(g_self, g_arguments, environ);
    _exit(127);
  }
  return child;
}

pid_t VforkAndAllocate(void** block) {
  const pid_t child = vfork();
  if (child == 0) {
    free(malloc(3000));
    *block = malloc(500);  // the child shares our memory: it is ours to free
    FillPattern(*block, 500, 6);
    _exit(0);
  }
  return child;
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) return RunAsChild();
  std::atomic<bool> stop{false};
  std::thread churn([&stop] {
    for (size_t size = 1; !stop.load(); size = size * 5 % 70001) free(malloc(size));
  });
  for (int i = 0; i < 60; ++i) {
    pid_t child = VforkAndExec();
    REQUIRE(child > 0);
    RequireChildSucceeds(child);

    void* block = nullptr;
    child = VforkAndAllocate(&block);
    REQUIRE(child > 0);
    RequireChildSucceeds(child);
    REQUIRE(HasPattern(block, 500, 6));
    free(block);

    REQUIRE(posix_spawn(&child, g_self, nullptr, nullptr, g_arguments, environ) == 0);
    RequireChildSucceeds(child);
  }
  stop.store(true);
  churn.join();
}
