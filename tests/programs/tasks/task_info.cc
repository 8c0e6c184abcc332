// What the API says of tasks that live, have ended, or are none, and of the process; and memory of
// a task that is asked back.
#include <set>
#include <string>
#include <thread>

#include "tests/programs/support/hooks.h"
#include "tests/programs/support/tasks.h"

namespace {

taskmem_task_status Info(uint64_t id) {
  taskmem_task_status status = {};
  status.size = sizeof(status);
  REQUIRE_COMPARE(taskmem_task_info(id, &status), ==, 0);
  REQUIRE(status.size == sizeof(status));
  REQUIRE_COMPARE(status.id, ==, id);
  return status;
}

uint64_t ThreadTask() {
  uint64_t id = 0;
  REQUIRE_COMPARE(taskmem_thread_task(&id), ==, 0);
  return id;
}

void* Filled(size_t bytes) {
  void* const block = malloc(bytes);
  REQUIRE(block != nullptr);
  Touch(block, bytes);
  return block;
}

void Threads() {
  const uint64_t of_process = ThreadTask();
  Begin(kTask, TASKMEM_NO_QUOTA, "one");
  Attach(kTask);
  REQUIRE_COMPARE(ThreadTask(), ==, kTask);
  std::thread([] { REQUIRE_COMPARE(ThreadTask(), ==, kTask); }).join();
  Detach();
  REQUIRE_COMPARE(ThreadTask(), ==, TASKMEM_UNTRACKED);
  Attach(kTask);
  End(kTask);
  REQUIRE_COMPARE(ThreadTask(), ==, TASKMEM_UNTRACKED);
  Attach(of_process);
}

void LiveAndEnded() {
  Begin(kTask + 1, 64 * kMiB, "named");
  Attach(kTask + 1);
  void* const kept = Filled(4 * kMiB);
  taskmem_task_status status = Info(kTask + 1);
  REQUIRE(std::string(status.name) == "named");
  REQUIRE(status.state == TASKMEM_TASK_LIVE);
  REQUIRE(status.usage.quota_bytes == 64 * kMiB && status.usage.threads == 1);
  REQUIRE_COMPARE(status.usage.charged_bytes, >=, 4 * kMiB);
  REQUIRE(malloc(100 * kMiB) == nullptr);
  REQUIRE_COMPARE(Info(kTask + 1).usage.refusals, ==, 1);
  REQUIRE_COMPARE(Info(kTask + 1).stalls, >=, 1);
  End(kTask + 1);
  status = Info(kTask + 1);
  REQUIRE(status.state == TASKMEM_TASK_ENDED && status.usage.threads == 0);
  REQUIRE_COMPARE(status.usage.charged_bytes, >=, 4 * kMiB);
  // Of two that have ended the last, and the live one before both.
  Begin(kTask + 1, 32 * kMiB, "again");
  REQUIRE(std::string(Info(kTask + 1).name) == "again");
  End(kTask + 1);
  REQUIRE(std::string(Info(kTask + 1).name) == "again");
  free(kept);
  taskmem_task_status none = {};
  none.size = sizeof(none);
  REQUIRE_COMPARE(taskmem_task_info(kTask + 999, &none), ==, ENOENT);
  none.size = sizeof(none) - 1;
  REQUIRE_COMPARE(taskmem_task_info(kTask + 1, &none), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_task_info(kTask + 1, nullptr), ==, EINVAL);
  // A caller that knows more than the library.
  struct Later {
    taskmem_task_status known;
    uint64_t more;
  } later = {{}, 77};
  later.known.size = sizeof(later);
  REQUIRE_COMPARE(taskmem_task_info(kTask + 1, &later.known), ==, 0);
  REQUIRE(later.known.id == kTask + 1 && later.more == 0 && later.known.size == sizeof(later));
}

void NoTasks() {
  Detach();
  void* const block = Filled(3 * kMiB);
  REQUIRE_COMPARE(Info(TASKMEM_UNTRACKED).usage.charged_bytes, >=, 3 * kMiB);
  REQUIRE(Info(TASKMEM_UNTRACKED).state == 0);
  free(block);
  REQUIRE(std::string(Info(TASKMEM_STORAGE).name) == "storage");
  // More than are listed one by one.
  constexpr uint64_t kMany = 6000;
  for (uint64_t i = 0; i < kMany; ++i) {
    Begin(kTask + 2000 + i, kMiB);
    Attach(kTask + 2000 + i);
    if (i < 100) REQUIRE(malloc(2 * kMiB) == nullptr);
    End(kTask + 2000 + i);
  }
  REQUIRE_COMPARE(Info(TASKMEM_ENDED_TASKS).usage.refusals, ==, 101);
  REQUIRE_COMPARE(taskmem_task_begin(TASKMEM_ENDED_TASKS, nullptr), ==, EINVAL);
}

void Listed() {
  Begin(kTask + 3, TASKMEM_NO_QUOTA, "live");
  std::set<uint64_t> live;
  uint64_t ended = 0;
  uint64_t cursor = 0;
  taskmem_task_status status = {};
  status.size = sizeof(status);
  int error = 0;
  while ((error = taskmem_tasks_next(&cursor, &status)) == 0) {
    if (status.state == TASKMEM_TASK_LIVE) REQUIRE(live.insert(status.id).second);
    if (status.state == TASKMEM_TASK_ENDED) ++ended;
  }
  REQUIRE_COMPARE(error, ==, ENOENT);
  REQUIRE(live.contains(kTask + 3));
  REQUIRE(live.size() == 2);  // the process, too
  REQUIRE_COMPARE(ended, >=, 1000);
  REQUIRE_COMPARE(taskmem_tasks_next(nullptr, &status), ==, EINVAL);
  End(kTask + 3);
}

void Process() {
  taskmem_process_status status = {};
  REQUIRE_COMPARE(taskmem_process_info(&status), ==, EINVAL);
  status.size = sizeof(status);
  REQUIRE_COMPARE(taskmem_process_info(&status), ==, 0);
  const uint64_t before = status.charged_bytes;
  const uint64_t resident = status.resident_bytes;
  void* const block = Filled(20 * kMiB);
  REQUIRE_COMPARE(taskmem_process_info(&status), ==, 0);
  REQUIRE_COMPARE(status.charged_bytes, >=, before + 20 * kMiB);
  REQUIRE_COMPARE(status.resident_bytes, >=, resident + 19 * kMiB);
  REQUIRE_COMPARE(status.peak_charged_bytes, >=, status.charged_bytes);
  REQUIRE_COMPARE(status.untracked_bytes, >=, 20 * kMiB);
  REQUIRE_COMPARE(status.unmanaged_bytes, >=, status.untracked_bytes);
  REQUIRE_COMPARE(status.tasks_begun, >=, 6000);
  REQUIRE_COMPARE(status.refusals, >=, 101);
  REQUIRE(status.own_bytes != 0 && status.memory_bytes != 0);
  free(block);
}

void SpillOnDemand() {
  static BlockCache cache(kMiB);
  static BlockCache on_reclaimer(kMiB);
  Begin(kTask + 4);
  uint64_t freed = 7;
  // Nobody to ask.
  REQUIRE_COMPARE(taskmem_task_spill(kTask + 4, 5 * kMiB, &freed), ==, 0);
  REQUIRE_COMPARE(freed, ==, 0);
  Attach(kTask + 4);
  cache.Register(kTask + 4, "cache", TASKMEM_ALLOCATING_THREAD);
  on_reclaimer.Register(kTask + 4, "other", TASKMEM_RECLAIMER_THREAD);
  for (int i = 0; i < 10; ++i) cache.Keep(Filled(kMiB));
  for (int i = 0; i < 10; ++i) on_reclaimer.Keep(Filled(kMiB));
  Detach();
  const uint64_t before = Charged(kTask + 4);
  REQUIRE_COMPARE(taskmem_task_spill(kTask + 4, 5 * kMiB, &freed), ==, 0);
  REQUIRE_COMPARE(freed, >=, 5 * kMiB);
  REQUIRE_COMPARE(Charged(kTask + 4), ==, before - freed);
  REQUIRE_COMPARE(Info(kTask + 4).spill_calls, >=, 1);
  // More than there is: all of it, on both threads.
  REQUIRE_COMPARE(taskmem_task_spill(kTask + 4, 1000 * kMiB), ==, 0);
  REQUIRE_COMPARE(Charged(kTask + 4), <, kMiB);
  REQUIRE_COMPARE(ThreadTask(), ==, TASKMEM_UNTRACKED);
  REQUIRE_COMPARE(taskmem_task_spill(kTask + 4, 0), ==, EINVAL);
  End(kTask + 4);
  REQUIRE_COMPARE(taskmem_task_spill(kTask + 4, kMiB), ==, ENOENT);
}

}  // namespace

int main() {
  Threads();
  LiveAndEnded();
  NoTasks();
  Listed();
  Process();
  SpillOnDemand();
}
