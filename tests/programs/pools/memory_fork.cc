// With --memory 64M: a child's pools begin with what it inherited, and what it takes and
// frees is nothing to its parent. The arguments say how the child is made, and whether
// other threads allocate meanwhile.
#include <signal.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/pools.h"
#include "tests/programs/support/wait_for.h"

namespace {

constexpr uint64_t kThreads = 3;

Blocks g_blocks;
std::atomic<bool> g_stop{false};

pid_t MakeChild(const char* how) {
  if (strcmp(how, "fork") == 0) return fork();
  if (strcmp(how, "syscall") == 0) return static_cast<pid_t>(syscall(SYS_fork));
  REQUIRE(strcmp(how, "clone") == 0);
  return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

void ChildWork() {
  LimitChild();
  // 20 MiB have been inherited, and some for the threads that are not there.
  static Blocks own;
  own.Take();
  REQUIRE_COMPARE(own.count(), >=, 40);
  REQUIRE_COMPARE(own.count(), <=, 44);
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  REQUIRE_COMPARE(stats.header().pools.memory_bytes.load(), ==, 64 * kMiB);
  RequirePoolsMatchBooks(stats);
  REQUIRE_COMPARE(stats.Find(kTask)->charged_bytes.load(), >=, 60 * kMiB);
  g_blocks.FreeAll();
  REQUIRE_COMPARE(own.Take(), >=, 19);
  End(kTask);
  Begin(kTask);
  Attach(kTask);
  REQUIRE(malloc(4 * kMiB) == nullptr);
  own.FreeAll();
  REQUIRE(malloc(4 * kMiB) != nullptr);
  RequirePoolsMatchBooks(stats);
  _exit(0);
}

void Allocate(uint64_t i) {
  Begin(kTask + 1 + i);
  Attach(kTask + 1 + i);
  while (!g_stop.load()) {
    void* large = malloc(300'000);
    void* small = malloc(100);
    free(large);
    free(small);
  }
  Detach();
  End(kTask + 1 + i);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  std::vector<std::thread> threads;
  if (strcmp(argv[2], "threads") == 0) {
    for (uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(Allocate, i);
  }
  Begin(kTask);
  Attach(kTask);
  REQUIRE_COMPARE(g_blocks.Take(20), ==, 20);
  for (int i = 0; i < 30; ++i) {
    const uint64_t charged = Charged(kTask);
    const pid_t child = MakeChild(argv[1]);
    REQUIRE(child >= 0);
    if (child == 0) ChildWork();
    RequireChildSucceeds(child);
    REQUIRE_COMPARE(Charged(kTask), ==, charged);
  }
  g_stop.store(true);
  for (std::thread& thread : threads) thread.join();
  g_blocks.Take();
  REQUIRE_COMPARE(g_blocks.count(), >=, 60);
  RequirePoolsMatchBooks(stats);
  RequireBooksMatchPages();
}
