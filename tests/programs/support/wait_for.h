// Waiting for child processes of the tiny programs.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_WAIT_FOR_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_WAIT_FOR_H_

#include <sys/wait.h>

#include "tests/programs/support/check.h"

// A child that hangs ends itself by this alarm.
inline void LimitChild() { alarm(60); }

// Waits for the child and requires that it exited with 0.
inline void RequireChildSucceeds(pid_t child) {
  int status = 0;
  pid_t ended;
  do {
    ended = waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);
  REQUIRE(ended == child);
  REQUIRE_COMPARE(WIFSIGNALED(status) ? WTERMSIG(status) : 0, ==, 0);
  REQUIRE_COMPARE(WEXITSTATUS(status), ==, 0);
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_WAIT_FOR_H_
