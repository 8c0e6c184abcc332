// taskmem's API for the tiny programs: every failure ends the program.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_TASKS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_TASKS_H_

#include "shim/taskmem.h"
#include "tests/programs/support/check.h"

// An id far from what the library gives out by itself.
inline constexpr uint64_t kTask = 1'000'000'000;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;

inline void Begin(uint64_t id, uint64_t quota_bytes = TASKMEM_NO_QUOTA,
                  const char* name = nullptr) {
  const taskmem_options options = {sizeof(taskmem_options), quota_bytes, name};
  REQUIRE_COMPARE(taskmem_task_begin(id, &options), ==, 0);
}

inline void Attach(uint64_t id) { REQUIRE_COMPARE(taskmem_thread_attach(id, nullptr), ==, 0); }

inline void Detach() { REQUIRE_COMPARE(taskmem_thread_detach(), ==, 0); }

inline void End(uint64_t id) { REQUIRE_COMPARE(taskmem_task_end(id, nullptr), ==, 0); }

inline taskmem_usage Usage(uint64_t id) {
  taskmem_usage usage;
  REQUIRE_COMPARE(taskmem_task_usage(id, &usage), ==, 0);
  REQUIRE(usage.charged_bytes - usage.overdraft_bytes <= usage.quota_bytes);
  REQUIRE(usage.peak_charged_bytes >= usage.charged_bytes);
  return usage;
}

inline uint64_t Charged(uint64_t id) { return Usage(id).charged_bytes; }

// The task that owns a live block.
inline uint64_t OwnerOf(const void* block) {
  uint64_t id = 0;
  REQUIRE_COMPARE(taskmem_owner_of(block, &id), ==, 0);
  return id;
}

// The books say what the pages say. Only while no other thread of the program allocates; threads
// of the library's own may give memory back for a while.
inline void RequireBooksMatchPages() {
  uint64_t charged = 0;
  uint64_t walked = 0;
  int result = taskmem_walk_heaps(&charged, &walked);
  for (int i = 0; i < 200 && result != 0; ++i) {
    usleep(10'000);
    result = taskmem_walk_heaps(&charged, &walked);
  }
  REQUIRE_COMPARE(charged, ==, walked);
  REQUIRE_COMPARE(result, ==, 0);
}

// Writes to every page of a block, so that it is resident.
inline void Touch(void* block, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 4096) static_cast<char*>(block)[at] = 1;
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_TASKS_H_
