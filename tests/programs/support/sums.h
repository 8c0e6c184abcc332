// What the programs have in common that bring a process into odd states and ask whether its books
// still add up.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_SUMS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_SUMS_H_

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

// Ids of tasks that these programs begin lie in [kTask, kTask + kTaskIds); of tasks by name, below.
inline constexpr uint64_t kTaskIds = 100'000;

// A block or a mapping that is live.
struct Held {
  void* start;
  size_t mapped_bytes;  // 0: a block
};

inline Held HoldMapping(uint64_t pages) {
  Held held = {nullptr, 4096 * pages};
  held.start =
      mmap(nullptr, held.mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(held.start != MAP_FAILED);
  return held;
}

// One of any kind: small, aligned, large, huge, zeroed, or a mapping. Only its first byte is
// touched.
inline Held Hold(uint64_t* random, bool maps = true) {
  const uint64_t kind = NextRandom(random) % (maps ? 200 : 193);
  const uint64_t bytes = NextRandom(random);
  Held held = {nullptr, 0};
  if (kind < 120) {
    held.start = malloc(1 + bytes % 600);
  } else if (kind < 140) {
    held.start = memalign(size_t{64} << NextRandom(random) % 13, 1 + bytes % 3000);
  } else if (kind < 160) {
    held.start = calloc(1, 1 + bytes % 20'000);
  } else if (kind < 180) {
    held.start = malloc(1 + bytes % 130'000);
  } else if (kind < 190) {
    held.start = malloc(1 + bytes % (3 * kMiB));
  } else if (kind < 192) {
    held.start = memalign(size_t{64} << NextRandom(random) % 17, 1 + bytes % (3 * kMiB));
  } else if (kind < 193) {
    held.start = malloc(17 * kMiB + bytes % (20 * kMiB));
  } else {
    held = HoldMapping(1 + bytes % 64);
  }
  REQUIRE(held.start != nullptr);
  *static_cast<char*>(held.start) = 1;
  return held;
}

inline void Release(Held held) {
  if (held.mapped_bytes == 0) {
    free(held.start);
  } else {
    REQUIRE(munmap(held.start, held.mapped_bytes) == 0);
  }
}

// What is held by everybody. In memory of no task: only the main thread, attached to none, and
// threads that it waits for, add to it.
class Store {
 public:
  static constexpr size_t kMost = 400'000;

  void Add(Held held) {
    const size_t at = count_.fetch_add(1);
    REQUIRE(at < kMost);
    held_[at] = held;
  }
  void HoldMore(size_t count, uint64_t* random) {
    for (size_t i = 0; i < count; ++i) Add(Hold(random));
  }
  // Every `step`th that is left.
  void ReleaseEvery(size_t step) {
    for (size_t i = 0; i < count_; i += step) {
      if (held_[i].start != nullptr) Release(held_[i]);
      held_[i].start = nullptr;
    }
  }
  void ReleaseAll() {
    ReleaseEvery(1);
    count_ = 0;
  }

 private:
  std::atomic<size_t> count_{0};
  Held held_[kMost];
};

inline Store g_store;

// Everything is freed: nothing is charged to any task of the program's, live, ended or folded.
inline void RequireNothingCharged() {
  malloc_trim(0);
  RequireBooksMatchPages();
  // A forked child shows its books from its first task on.
  Begin(kTask + kTaskIds - 1);
  End(kTask + kTaskIds - 1);
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  for (uint32_t slot = taskmem::kEndedTasksSlot; slot < stats.slots(); ++slot) {
    const taskmem::TaskBook& book = stats.book(slot);
    // Hooks and the library's own threads are no tasks, nor are cached blocks.
    if (slot == taskmem::kSpillReserveSlot || slot == taskmem::kStorageSlot) continue;
    if (book.charged_bytes.load() != 0) {
      dprintf(STDERR_FILENO, "slot %u, task %llu, state %d: %llu bytes are charged\n", slot,
              static_cast<unsigned long long>(book.task_id.load()),
              static_cast<int>(book.state.load()),
              static_cast<unsigned long long>(book.charged_bytes.load()));
    }
    REQUIRE_COMPARE(book.charged_bytes.load(), ==, 0);
    REQUIRE_COMPARE(stats.reclaim_book(book).overflow_bytes.load(), ==, 0);
  }
}

// Runs `work` on a thread and waits for it.
template <typename Work>
void OnThread(Work work) {
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<Work*>(argument))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, nullptr, run, &work) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
}

// Runs work(i) on `count` threads at once and waits for them.
template <typename Work>
void OnThreads(size_t count, Work work) {
  struct One {
    Work* work;
    size_t index;
    pthread_t thread;
  };
  static One ones[64];
  REQUIRE(count <= 64);
  const auto run = [](void* argument) -> void* {
    auto* one = static_cast<One*>(argument);
    (*one->work)(one->index);
    return nullptr;
  };
  for (size_t i = 0; i < count; ++i) {
    ones[i].work = &work;
    ones[i].index = i;
    REQUIRE(pthread_create(&ones[i].thread, nullptr, run, &ones[i]) == 0);
  }
  for (size_t i = 0; i < count; ++i) REQUIRE(pthread_join(ones[i].thread, nullptr) == 0);
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_SUMS_H_
