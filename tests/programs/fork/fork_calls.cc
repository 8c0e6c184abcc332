// How many system calls a fork costs whose child does nothing, counted by a tracer: in the child,
// and in the thread that forks. The arguments: how many threads there are beside it, and the most
// calls of the child and of the parent.
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "tests/programs/support/wait_for.h"

namespace {

void* Sleep(void*) {
  for (;;) pause();
}

// Stops for the tracer where counting begins and ends.
void Mark() { raise(SIGUSR1); }

[[noreturn]] void BeTraced(int threads) {
  LimitChild();
  REQUIRE(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
  raise(SIGSTOP);
  for (int i = 0; i < threads; ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, Sleep, nullptr) == 0);
  }
  char* const block = static_cast<char*>(malloc(1 << 20));
  FillPattern(block, 1 << 20, 1);
  Mark();
  const pid_t child = fork();
  if (child == 0) _exit(HasPattern(block, 1 << 10, 1) ? 0 : 1);
  Mark();
  RequireChildSucceeds(child);
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 3);
  const pid_t traced = fork();
  if (traced == 0) BeTraced(atoi(argv[1]));
  int status = 0;
  REQUIRE(waitpid(traced, &status, 0) == traced && WIFSTOPPED(status));
  REQUIRE(ptrace(PTRACE_SETOPTIONS, traced, 0,
                 PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL) == 0);
  REQUIRE(ptrace(PTRACE_SYSCALL, traced, 0, 0) == 0);
  bool counts = false;
  int of_parent = 0;
  int of_child = 0;
  // Each call stops twice, but for exit.
  for (;;) {
    const pid_t stopped = waitpid(-1, &status, __WALL);
    if (stopped < 0 && errno == ECHILD) break;
    REQUIRE(stopped > 0);
    if (!WIFSTOPPED(status)) {
      if (stopped == traced) break;
      continue;
    }
    int signal = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      if (stopped == traced) {
        if (counts) ++of_parent;
      } else {
        ++of_child;
      }
    } else if (WSTOPSIG(status) == SIGUSR1) {
      counts = !counts;
    } else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
      signal = WSTOPSIG(status);
    }
    ptrace(PTRACE_SYSCALL, stopped, 0, signal);
  }
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  REQUIRE_COMPARE((of_child + 1) / 2, >=, 1);
  REQUIRE_COMPARE((of_child + 1) / 2, <=, atoi(argv[2]));
  REQUIRE_COMPARE((of_parent + 1) / 2, <=, atoi(argv[3]));
}
