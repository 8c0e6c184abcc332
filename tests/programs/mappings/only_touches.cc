// Touches 300 MiB of a task and 40 MiB of no task, mapped before, then waits to be ended without
// having called anything that the library sees. Without threads, and no task has a quota.
#include <unistd.h>

#include "tests/programs/support/mappings.h"

int main() {
  Begin(kTask);
  void* const nobodys = Anonymous(100 * kMiB, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  Attach(kTask);
  void* const mine = Anonymous(1000 * kMiB, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  REQUIRE(nobodys != MAP_FAILED && mine != MAP_FAILED);
  Touch(mine, 300 * kMiB);
  Touch(nobodys, 40 * kMiB);
  REQUIRE(write(STDOUT_FILENO, "ready\n", 6) == 6);
  for (;;) pause();
}
