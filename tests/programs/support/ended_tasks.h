// Books of tasks that have ended.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_ENDED_TASKS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_ENDED_TASKS_H_

#include <cstdint>

#include "tests/programs/support/check.h"
#include "tests/support/stats_file.h"

// Nothing is charged to tasks with an id from `first` to below `end`, nor to those that were
// folded.
inline void RequireNothingCharged(const taskmem::test::StatsFile& stats, uint64_t first,
                                  uint64_t end) {
  for (uint32_t slot = taskmem::kEndedTasksSlot; slot < stats.slots(); ++slot) {
    if (slot == taskmem::kStorageSlot || slot == taskmem::kSpillReserveSlot) continue;
    const uint64_t id = stats.book(slot).task_id.load();
    if (slot != taskmem::kEndedTasksSlot && (id < first || id >= end)) continue;
    REQUIRE_COMPARE(stats.book(slot).charged_bytes.load(), ==, 0);
  }
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_ENDED_TASKS_H_
