// Which children of a fork are listed: those that have charged something, have lived for a while,
// or begin a task. One that execs or exits is not, and leaves its parent's books as they are.
#include "tests/programs/support/tasks.h"
#include "tests/programs/support/wait_for.h"
#include "tests/support/stats_file.h"

using taskmem::test::StatsFile;

namespace {

bool IsListed() { return StatsFile::Own().ok(); }

void Begins() {
  Begin(kTask + 1);
  REQUIRE(IsListed());
}

void Allocates() {
  for (int i = 0; i < 100; ++i) Touch(malloc(10'000), 10'000);
  REQUIRE(IsListed());
  REQUIRE_COMPARE(StatsFile::Own().Find(kTask)->charged_bytes.load(), ==, Charged(kTask));
}

void AllocatesLate() {
  Touch(malloc(3000), 3000);
  for (int i = 0; i < 2000 && !IsListed(); ++i) {
    usleep(1000);
    free(malloc(200'000));
  }
  REQUIRE(IsListed());
}

void Exits() {
  free(malloc(100));
  REQUIRE(!IsListed());
  exit(0);
}

// A child of a child that has no books has its own as well.
void Forks() {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Allocates();
    RequireBooksMatchPages();
    _exit(0);
  }
  RequireChildSucceeds(child);
  REQUIRE(!IsListed());
}

// What the parent does meanwhile does not concern the books that a child makes late.
void IsLate(int go) {
  char byte;
  REQUIRE(read(go, &byte, 1) == 1);
  const taskmem_usage usage = Usage(kTask);
  REQUIRE_COMPARE(usage.charged_bytes, >=, kMiB);
  REQUIRE_COMPARE(usage.charged_bytes, <, 2 * kMiB);
  REQUIRE_COMPARE(usage.quota_bytes, ==, TASKMEM_NO_QUOTA);
  taskmem_usage none;
  REQUIRE(taskmem_task_usage(kTask + 7, &none) == ENOENT);
  RequireBooksMatchPages();
}

}  // namespace

int main() {
  Begin(kTask);
  Attach(kTask);
  void* const block = malloc(kMiB);
  Touch(block, kMiB);
  const StatsFile own = StatsFile::Own();
  REQUIRE(own.ok());
  for (void (*work)() : {Begins, Allocates, AllocatesLate, Exits, Forks}) {
    const uint64_t charged = Charged(kTask);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      work();
      _exit(0);
    }
    RequireChildSucceeds(child);
    REQUIRE_COMPARE(Charged(kTask), ==, charged);
    REQUIRE(own.header().state.load() == taskmem::ProcessState::kRunning);
    REQUIRE(StatsFile::Own().ok());
  }
  int go[2];
  REQUIRE(pipe(go) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    LimitChild();
    IsLate(go[0]);
    _exit(0);
  }
  Touch(malloc(8 * kMiB), 8 * kMiB);
  REQUIRE(taskmem_task_set_quota(kTask, 64 * kMiB) == 0);
  Begin(kTask + 7);
  REQUIRE(write(go[1], "x", 1) == 1);
  RequireChildSucceeds(child);
}
