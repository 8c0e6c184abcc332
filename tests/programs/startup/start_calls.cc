// How many system calls a program makes from its first instruction to its last, counted by a
// tracer. The arguments: the most there may be, and the program with its arguments.
#include <signal.h>
#include <sys/ptrace.h>

#include "tests/programs/support/wait_for.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const pid_t traced = fork();
  if (traced == 0) {
    REQUIRE(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    raise(SIGSTOP);
    execv(argv[2], argv + 2);
    _exit(127);
  }
  int status = 0;
  REQUIRE(waitpid(traced, &status, 0) == traced && WIFSTOPPED(status));
  REQUIRE(ptrace(PTRACE_SETOPTIONS, traced, 0,
                 PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) == 0);
  bool has_begun = false;
  int stops = 0;
  // Each call stops twice, but for the last.
  for (int signal = 0;;) {
    REQUIRE(ptrace(PTRACE_SYSCALL, traced, 0, signal) == 0);
    REQUIRE(waitpid(traced, &status, 0) == traced);
    if (!WIFSTOPPED(status)) break;
    signal = 0;
    if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8))) {
      has_begun = true;
    } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      if (has_begun) ++stops;
    } else {
      signal = WSTOPSIG(status);
    }
  }
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  printf("%d\n", (stops + 1) / 2);
  REQUIRE_COMPARE((stops + 1) / 2, <=, atoi(argv[1]));
}
