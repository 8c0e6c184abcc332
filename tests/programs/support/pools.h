// What the programs about --memory have in common.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_POOLS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_POOLS_H_

#include <malloc.h>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

// Blocks of 1 MiB, which are never let through at the limit.
class Blocks {
 public:
  // Takes blocks until one is refused, or `most` in all are held. Returns how many it took.
  int Take(int most = kMost) {
    const int before = count_;
    while (count_ < most && count_ < kMost) {
      void* block = malloc(kMiB);
      if (block == nullptr) break;
      Touch(block, kMiB);
      blocks_[count_++] = block;
    }
    return count_ - before;
  }

  void Free(int count) {
    for (int i = 0; i < count; ++i) free(blocks_[--count_]);
  }
  void FreeAll() { Free(count_); }
  int count() const { return count_; }

 private:
  static constexpr int kMost = 256;
  void* blocks_[kMost];
  int count_ = 0;
};

// The pools add up to the books, while no thread allocates or frees.
inline void RequirePoolsMatchBooks(const taskmem::test::StatsFile& stats) {
  REQUIRE(stats.ok());
  uint64_t granted = 0;
  uint64_t holders = 0;
  for (uint32_t slot = taskmem::kFirstTaskSlot; slot < stats.slots(); ++slot) {
    const taskmem::TaskBook& book = stats.book(slot);
    REQUIRE_COMPARE(book.charged_bytes.load(), <=, book.granted_bytes.load());
    granted += book.granted_bytes.load();
    if (book.granted_bytes.load() != 0 && book.state.load() == taskmem::TaskState::kLive) {
      ++holders;
    }
  }
  const taskmem::PoolStats& pools = stats.header().pools;
  REQUIRE_COMPARE(pools.execution_used_bytes.load() + pools.overdrawn_bytes.load(), ==, granted);
  REQUIRE_COMPARE(pools.active_tasks.load(), ==, holders);
  REQUIRE_COMPARE(pools.storage_used_bytes.load(), ==, 0);
  // Neither unlimited nor not looked up yet.
  if (pools.memory_bytes.load() != taskmem::kNoPool && pools.memory_bytes.load() != 0) {
    REQUIRE_COMPARE(pools.execution_size_bytes.load() + pools.storage_size_bytes.load(), ==,
                    pools.memory_bytes.load() + pools.untouched_bytes.load());
  }
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_POOLS_H_
