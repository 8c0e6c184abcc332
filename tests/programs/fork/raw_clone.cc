// A child made by the bare clone system call, which runs nobody's fork handlers.
#include <signal.h>
#include <sys/syscall.h>

#include "tests/programs/support/wait_for.h"

int main() {
  for (int i = 0; i < 50; ++i) {
    void* from_parent = malloc(5000);
    FillPattern(from_parent, 5000, 1);
    const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      REQUIRE(HasPattern(from_parent, 5000, 1));
      free(from_parent);
      char* block = static_cast<char*>(malloc(10 << 20));
      REQUIRE(block != nullptr);
      for (size_t at = 0; at < (10 << 20); at += 4096) block[at] = 1;
      for (size_t size = 1; size < 300000; size *= 2) free(malloc(size));
      free(block);
      _exit(0);
    }
    RequireChildSucceeds(child);
    REQUIRE(HasPattern(from_parent, 5000, 1));
    free(from_parent);
  }
}
