// What a child does stands in its own books, in a file of its own, and not in
// its parent's. The argument says how the child is made.
#include <signal.h>
#include <sys/syscall.h>

#include "tests/programs/support/tasks.h"
#include "tests/programs/support/wait_for.h"
#include "tests/support/stats_file.h"

using taskmem::test::StatsFile;

namespace {

pid_t MakeChild(const char* how) {
  if (strcmp(how, "fork") == 0) return fork();
  REQUIRE(strcmp(how, "clone") == 0);
  return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

void ChildWork(pid_t parent, void* from_parent) {
  LimitChild();
  const uint64_t inherited = Charged(kTask);
  REQUIRE(inherited >= 8 * kMiB);
  constexpr int kBlocks = 1000;
  static void* blocks[kBlocks];
  for (void*& block : blocks) {
    block = malloc(100 * 1024);
    Touch(block, 100 * 1024);
  }
  REQUIRE(OwnerOf(blocks[0]) == kTask);
  REQUIRE_COMPARE(Charged(kTask), >=, inherited + kBlocks * 100 * 1024);

  const StatsFile own = StatsFile::Own();
  REQUIRE(own.ok());
  REQUIRE_COMPARE(own.header().pid, ==, getpid());
  REQUIRE_COMPARE(own.header().parent_pid, ==, parent);
  REQUIRE(own.Find(kTask) != nullptr);
  REQUIRE_COMPARE(own.Find(kTask)->charged_bytes.load(), ==, Charged(kTask));

  for (void* block : blocks) free(block);
  free(from_parent);
  REQUIRE_COMPARE(Charged(kTask), <, inherited);
  RequireBooksMatchPages();
  End(kTask);
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const pid_t self = getpid();
  Begin(kTask);
  Attach(kTask);
  void* block = malloc(8 * kMiB);
  Touch(block, 8 * kMiB);
  const StatsFile own = StatsFile::Own();
  REQUIRE(own.ok());
  for (int i = 0; i < 20; ++i) {
    const taskmem_usage before = Usage(kTask);
    const pid_t child = MakeChild(argv[1]);
    REQUIRE(child >= 0);
    if (child == 0) ChildWork(self, block);
    RequireChildSucceeds(child);
    const taskmem_usage after = Usage(kTask);
    REQUIRE_COMPARE(after.charged_bytes, ==, before.charged_bytes);
    REQUIRE_COMPARE(after.peak_charged_bytes, ==, before.peak_charged_bytes);
    REQUIRE_COMPARE(after.pages, ==, before.pages);
    REQUIRE_COMPARE(after.threads, ==, before.threads);
    REQUIRE_COMPARE(own.header().pid, ==, self);
  }
  REQUIRE(OwnerOf(block) == kTask);
  free(block);
}
