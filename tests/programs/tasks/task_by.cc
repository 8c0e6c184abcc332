// Tasks that come from threads and their names, as the argument says; the test
// sets --task-by and --task-per-rename to match.
#include <pthread.h>
#include <sys/prctl.h>

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <thread>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

using taskmem::test::StatsFile;

namespace {

using taskmem::kFirstTaskSlot;

constexpr uint64_t kQuota = 8 * kMiB;  // of --quota, where the test gives one

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
      // No task's: it works for that of its birth again.
      REQUIRE(prctl(PR_SET_NAME, "idle") == 0);
      REQUIRE_COMPARE(OwnerNow(), ==, 17);
    });
    OnThread([] {
      Rename("helper");
      REQUIRE_COMPARE(OwnerNow(), ==, 17);
      Begin(kTask);
      Attach(kTask);
      Rename("another helper");
      REQUIRE_COMPARE(OwnerNow(), ==, kTask);
      End(kTask);
    });
    Rename("not a task-17");
    REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
  });
}

// --task-by 'thread-name=^(worker|[0-9]+)': names that are no numbers have small ones.
void Numbers() {
  const auto id_of = [](const char* name) {
    uint64_t id = 0;
    OnThread([&] {
      Rename(name);
      id = OwnerNow();
      RequireName(id, name);
    });
    return id;
  };
  const uint64_t worker = id_of("worker");
  REQUIRE_COMPARE(worker, <, 100);
  REQUIRE_COMPARE(id_of("worker"), ==, worker);
  REQUIRE_COMPARE(id_of("4711"), ==, 4711);
  // A number that a name has is another task's.
  const std::string digits = std::to_string(worker);
  const uint64_t other = id_of(digits.c_str());
  REQUIRE(other != worker);
  REQUIRE_COMPARE(other, <, 100);
}

// A name that another thread takes does not make this one's be looked at again.
void OthersNames() {
  std::atomic<int> step{0};
  std::thread thread([&step] {
    Rename("task-31");
    Begin(kTask);
    Attach(kTask);
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
    REQUIRE_COMPARE(OwnerNow(), ==, kTask);
    End(kTask);
  });
  while (step.load() != 1) std::this_thread::yield();
  std::atomic<bool> ends{false};
  std::thread renamed([&ends] {
    while (!ends) std::this_thread::yield();
  });
  REQUIRE(pthread_setname_np(renamed.native_handle(), "task-32") == 0);
  step.store(2);
  thread.join();
  ends = true;
  renamed.join();
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
  // Two threads whose names have the same number at once.
  OnThread([] {
    Rename("task-7");
    REQUIRE_COMPARE(OwnerNow(), ==, 7);
    OnThread([] {
      REQUIRE_COMPARE(OwnerNow(), ==, 7);
      Rename("task-7 too");
      REQUIRE(OwnerNow() != 7);
      REQUIRE_COMPARE(OwnerNow(), <, 100);
      Rename("idle");
      REQUIRE_COMPARE(OwnerNow(), ==, 7);
    });
  });
}

// Only what the program itself does.
void None() {
  REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
  REQUIRE_COMPARE(StatsFile::Own().slots(), ==, kFirstTaskSlot);
  // Nothing refuses it, whatever the quota is.
  void* const large = malloc(kQuota * 2);
  REQUIRE(large != nullptr);
  free(large);
  OnThread([] {
    Rename("task-17");
    REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
    const taskmem_options options = {sizeof(options), 0, "own"};
    REQUIRE_COMPARE(taskmem_task_begin(kTask, &options), ==, 0);
    REQUIRE_COMPARE(Usage(kTask).quota_bytes, ==, kQuota);
    Attach(kTask);
    OnThread([] { REQUIRE_COMPARE(OwnerNow(), ==, kTask); });
    REQUIRE(malloc(kQuota * 2) == nullptr);
    End(kTask);
  });
}

// Threads that take names, none of which may match.
void Unmatched() {
  OnThread([] { Rename("some thread"); });
  OnThread([] { Rename("other\nthread"); });
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  if (strcmp(argv[1], "thread") == 0) Threads();
  if (strcmp(argv[1], "name") == 0) Names();
  if (strcmp(argv[1], "name") == 0) NamedByAnother();
  if (strcmp(argv[1], "name") == 0) OthersNames();
  if (strcmp(argv[1], "none") == 0) None();
  if (strcmp(argv[1], "number") == 0) Numbers();
  if (strcmp(argv[1], "rename") == 0) Renames();
  if (strcmp(argv[1], "unmatched") == 0) Unmatched();
}
