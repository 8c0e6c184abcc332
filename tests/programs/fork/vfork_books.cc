// A vfork child that allocates does it in its parent's books, which stay right,
// and its end does not take the parent's stats file away.
#include "tests/programs/support/tasks.h"
#include "tests/programs/support/wait_for.h"
#include "tests/support/stats_file.h"

int main() {
  Begin(kTask);
  Attach(kTask);
  for (int i = 0; i < 50; ++i) {
    static void* block;
    const pid_t child = vfork();
    if (child == 0) {
      block = malloc(1 << 20);
      free(malloc(3000));
      _exit(0);
    }
    REQUIRE(child > 0);
    RequireChildSucceeds(child);
    REQUIRE(OwnerOf(block) == kTask);
    REQUIRE(Charged(kTask) >= 1 << 20);
    free(block);
    REQUIRE(Usage(kTask).threads == 1);
  }
  const taskmem::test::StatsFile own = taskmem::test::StatsFile::Own();
  REQUIRE(own.ok());
  REQUIRE_COMPARE(own.header().pid, ==, getpid());
  REQUIRE(own.header().state.load() == taskmem::ProcessState::kRunning);
}
