// taskmem.hpp in a program without exceptions.
#include "shim/taskmem.hpp"
#include "tests/programs/support/tasks.h"

namespace {

uint64_t ThreadTask() {
  uint64_t id = 0;
  REQUIRE_COMPARE(taskmem_thread_task(&id), ==, 0);
  return id;
}

}  // namespace

int main() {
  const uint64_t before = ThreadTask();
  Begin(kTask);
  {
    const taskmem::AttachScope scope(kTask);
    REQUIRE_COMPARE(scope.error(), ==, 0);
    REQUIRE_COMPARE(ThreadTask(), ==, kTask);
    {
      const taskmem::AttachScope none(kTask + 1);
      REQUIRE_COMPARE(none.error(), ==, ENOENT);
      REQUIRE_COMPARE(ThreadTask(), ==, kTask);
      const taskmem::AttachScope untracked(TASKMEM_UNTRACKED);
      REQUIRE_COMPARE(ThreadTask(), ==, TASKMEM_UNTRACKED);
    }
    REQUIRE_COMPARE(ThreadTask(), ==, kTask);
    const taskmem::AttachScope inner(TASKMEM_STORAGE);
    End(kTask);
  }
  REQUIRE_COMPARE(ThreadTask(), ==, before);
  bool was_asked = false;
  const taskmem::TaskScope task(kTask + 2);
  taskmem::SpillConsumer consumer([&](uint64_t, taskmem_consumer) {
    was_asked = true;
    return uint64_t{0};
  });
  consumer.Report(kMiB);
  REQUIRE_COMPARE(taskmem_task_spill(kTask + 2, kMiB), ==, 0);
  REQUIRE(was_asked);
}
