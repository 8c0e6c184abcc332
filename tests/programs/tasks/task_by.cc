// Tasks that come from threads and their names, as the argument says; the test
// sets --task-by and --task-per-rename to match.
#include <pthread.h>
#include <sys/prctl.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

using taskmem::test::StatsFile;

namespace {

uint64_t OwnerNow() {
  void* block = malloc(300);
  const uint64_t owner = OwnerOf(block);
  free(block);
  return owner;
}

void OnThread(std::function<void()> work) { std::thread(std::move(work)).join(); }

void Rename(const char* name) { REQUIRE(pthread_setname_np(pthread_self(), name) == 0); }

void RequireName(uint64_t id, const char* name) {
  const StatsFile stats = StatsFile::Own();
  REQUIRE(stats.ok());
  REQUIRE(stats.Find(id) != nullptr);
  REQUIRE(strstr(stats.Find(id)->name, name) != nullptr);
}

void Threads() {
  std::set<uint64_t> owners = {OwnerNow(), TASKMEM_UNTRACKED};
  REQUIRE(owners.size() == 2);
  for (int i = 0; i < 20; ++i) {
    OnThread([&owners] {
      const uint64_t owner = OwnerNow();
      REQUIRE(!owners.contains(owner));
      REQUIRE_COMPARE(Usage(owner).threads, ==, 1);
      OnThread([owner] { REQUIRE(OwnerNow() != owner); });
      REQUIRE(OwnerNow() == owner);
      Rename("a new name");
      REQUIRE(OwnerNow() == owner);
      RequireName(owner, "a new name");
    });
  }
}

// --task-by 'thread-name=^task-([0-9]+)'
void Names() {
  REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
  OnThread([] {
    REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
    Rename("task-17 here");
    REQUIRE_COMPARE(OwnerNow(), ==, 17);
    RequireName(17, "17");
    OnThread([] {
      REQUIRE(prctl(PR_SET_NAME, "task-17 there") == 0);
      REQUIRE_COMPARE(OwnerNow(), ==, 17);
      REQUIRE_COMPARE(Usage(17).threads, ==, 2);
      REQUIRE(prctl(PR_SET_NAME, "task-18") == 0);
      REQUIRE_COMPARE(OwnerNow(), ==, 18);
      REQUIRE_COMPARE(Usage(17).threads, ==, 1);
      REQUIRE(prctl(PR_SET_NAME, "idle") == 0);
      REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
    });
    Rename("not a task-17");
    REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
  });
}

// A thread that another one renames.
void NamedByAnother() {
  std::atomic<int> step{0};
  std::thread thread([&step] {
    REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
    REQUIRE_COMPARE(OwnerNow(), ==, 21);
  });
  while (step.load() != 1) std::this_thread::yield();
  REQUIRE(pthread_setname_np(thread.native_handle(), "task-21") == 0);
  step.store(2);
  thread.join();
}

// The same with --task-per-rename.
void Renames() {
  OnThread([] {
    std::set<uint64_t> owners;
    for (int i = 0; i < 30; ++i) {
      Rename("task-5");
      const uint64_t owner = OwnerNow();
      REQUIRE(owner != TASKMEM_UNTRACKED);
      REQUIRE(OwnerNow() == owner);
      RequireName(owner, "5");
      void* kept = malloc(1000);
      Rename(i % 2 == 0 ? "idle" : "task-6");
      REQUIRE(OwnerOf(kept) == owner);
      taskmem_usage usage;
      REQUIRE_COMPARE(taskmem_task_usage(owner, &usage), ==, ENOENT);
      free(kept);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  if (strcmp(argv[1], "thread") == 0) Threads();
  if (strcmp(argv[1], "name") == 0) Names();
  if (strcmp(argv[1], "name") == 0) NamedByAnother();
  if (strcmp(argv[1], "rename") == 0) Renames();
}
