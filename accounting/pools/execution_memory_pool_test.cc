#include "accounting/pools/execution_memory_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace taskmem {
namespace {

class ExecutionMemoryPoolTest : public testing::Test {
 protected:
  ExecutionMemoryPoolTest() { pool_.IncrementPoolSize(1000); }

  // As if the pool could not grow.
  GrantLimits Limits(int64_t max_pool_bytes = 1000) const {
    return {max_pool_bytes, pool_.size(), pool_.free(), true};
  }
  void Hold(int64_t task, int64_t bytes) {
    bool inserted;
    ASSERT_TRUE(pool_.Register(task, &inserted));
    pool_.Grant(task, bytes);
  }
  void ExpectDecision(int64_t task, int64_t bytes, int64_t grant, bool must_wait,
                      int64_t max_pool_bytes = 1000) {
    const ExecutionMemoryPool::Decision decision =
        pool_.Decide(task, bytes, Limits(max_pool_bytes));
    EXPECT_EQ(decision.grant, grant) << "task " << task << " asks " << bytes;
    EXPECT_EQ(decision.must_wait, must_wait) << "task " << task << " asks " << bytes;
  }

  ExecutionMemoryPool pool_{MemoryMode::kOnHeap};
};

TEST_F(ExecutionMemoryPoolTest, Exec1UsedIsTheSumOfTasks) {
  Hold(1, 300);
  Hold(2, 200);
  pool_.Grant(1, 50);
  EXPECT_EQ(pool_.UsageOf(1), 350);
  EXPECT_EQ(pool_.UsageOf(2), 200);
  EXPECT_EQ(pool_.UsageOf(3), 0);
  EXPECT_EQ(pool_.used(), 550);
  EXPECT_EQ(pool_.active_tasks(), 2);
}

TEST_F(ExecutionMemoryPoolTest, Exec1AKeyOfNoBytesCounts) {
  bool inserted = false;
  ASSERT_TRUE(pool_.Register(1, &inserted));
  EXPECT_TRUE(inserted);
  ASSERT_TRUE(pool_.Register(1, &inserted));
  EXPECT_FALSE(inserted);
  EXPECT_TRUE(pool_.Has(1));
  EXPECT_EQ(pool_.active_tasks(), 1);
  EXPECT_EQ(pool_.used(), 0);
}

TEST_F(ExecutionMemoryPoolTest, Exec3ALoneTaskMayHaveAll) {
  Hold(1, 0);
  ExpectDecision(1, 1000, 1000, false);
  ExpectDecision(1, 2000, 1000, false);
  Hold(1, 400);
  ExpectDecision(1, 1000, 600, false);
  EXPECT_EQ(pool_.Headroom(1, Limits()), 600);
}

TEST_F(ExecutionMemoryPoolTest, Exec3NobodyGetsPastItsShare) {
  Hold(1, 250);
  Hold(2, 250);
  ExpectDecision(1, 500, 250, false);
  Hold(1, 250);
  ExpectDecision(1, 500, 0, false);  // at its cap: 0 is an answer
  Hold(3, 0);
  ExpectDecision(1, 500, 0, false);  // above it: not negative (SPARK-4715)
  EXPECT_EQ(pool_.Headroom(1, Limits()), 0);
}

TEST_F(ExecutionMemoryPoolTest, Exec3WaitsBelowItsMinimum) {
  Hold(1, 1000);
  Hold(2, 0);
  ExpectDecision(2, 250, 0, true);
  pool_.Release(1, 249);
  ExpectDecision(2, 300, 249, true);  // 249 < 1000 / 4
  pool_.Release(1, 1);
  ExpectDecision(2, 300, 250, false);
}

TEST_F(ExecutionMemoryPoolTest, Exec3DoesNotWaitForLessThanItAsks) {
  Hold(1, 990);
  Hold(2, 0);
  ExpectDecision(2, 10, 10, false);
  ExpectDecision(2, 11, 10, true);
}

TEST_F(ExecutionMemoryPoolTest, Exec3DividesAsIntegers) {
  Hold(1, 0);
  Hold(2, 0);
  Hold(3, 0);
  ExpectDecision(1, 1000, 333, false);
  Hold(2, 834);  // leaves 166: 1000 / 6
  ExpectDecision(1, 1000, 166, false);
  Hold(2, 1);
  ExpectDecision(1, 1000, 165, true);
}

TEST_F(ExecutionMemoryPoolTest, Exec7TheCapIsOfWhatThePoolMayBecome) {
  ExecutionMemoryPool small(MemoryMode::kOnHeap);
  small.IncrementPoolSize(100);
  bool inserted;
  small.Register(1, &inserted);
  small.Register(2, &inserted);
  EXPECT_EQ(small.Headroom(1, {1000, 100, 100, true}), 500);
  const ExecutionMemoryPool::Decision decision = small.Decide(1, 60, {1000, 100, 100, true});
  EXPECT_EQ(decision.grant, 60);
}

TEST_F(ExecutionMemoryPoolTest, Exec7AnEmptyPoolAnswersAtOnce) {
  ExecutionMemoryPool empty(MemoryMode::kOnHeap);
  bool inserted;
  empty.Register(1, &inserted);
  const ExecutionMemoryPool::Decision decision = empty.Decide(1, 10, {0, 0, 0, true});
  EXPECT_EQ(decision.grant, 0);
  EXPECT_FALSE(decision.must_wait);
}

TEST_F(ExecutionMemoryPoolTest, WithoutSharesTheWholePoolIsTheCap) {
  Hold(1, 400);
  Hold(2, 0);
  GrantLimits limits = Limits();
  limits.divide = false;
  EXPECT_EQ(pool_.Decide(1, 1000, limits).grant, 600);
  EXPECT_EQ(pool_.Headroom(2, limits), 1000);
}

TEST_F(ExecutionMemoryPoolTest, Exec8ReleasesWhatTheTaskHolds) {
  Hold(1, 100);
  Hold(2, 500);
  EXPECT_EQ(pool_.Release(1, 40), 40);
  EXPECT_EQ(pool_.UsageOf(1), 60);
  EXPECT_EQ(pool_.Release(1, 1000), 60);
  EXPECT_FALSE(pool_.Has(1));
  EXPECT_EQ(pool_.used(), 500);
  EXPECT_EQ(pool_.active_tasks(), 1);
  EXPECT_EQ(pool_.Release(1, 1), 0);  // unknown
}

TEST_F(ExecutionMemoryPoolTest, Exec6ReleasingNothingDropsAnEmptyKey) {
  Hold(1, 0);
  Hold(2, 5);
  EXPECT_EQ(pool_.Release(1, 0), 0);
  EXPECT_FALSE(pool_.Has(1));
  EXPECT_EQ(pool_.Release(2, 0), 0);
  EXPECT_TRUE(pool_.Has(2));
  EXPECT_EQ(pool_.active_tasks(), 1);
}

TEST_F(ExecutionMemoryPoolTest, WhatIsOverdrawnIsNotUsed) {
  Hold(1, 900);
  pool_.Overdraw(1, 300);
  EXPECT_EQ(pool_.used(), 900);
  EXPECT_EQ(pool_.overdrawn(), 300);
  EXPECT_EQ(pool_.UsageOf(1), 1200);
  EXPECT_EQ(pool_.OverdrawnBy(1), 300);
  EXPECT_EQ(pool_.OverdrawnBy(2), 0);
}

TEST_F(ExecutionMemoryPoolTest, WhatIsOverdrawnIsReturnedFirst) {
  Hold(1, 900);
  pool_.Overdraw(1, 300);
  EXPECT_EQ(pool_.Release(1, 200), 200);
  EXPECT_EQ(pool_.overdrawn(), 100);
  EXPECT_EQ(pool_.used(), 900);
  EXPECT_EQ(pool_.Release(1, 150), 150);
  EXPECT_EQ(pool_.overdrawn(), 0);
  EXPECT_EQ(pool_.used(), 850);
  pool_.Overdraw(1, 1);
  EXPECT_EQ(pool_.Release(1, INT64_MAX), 851);
  EXPECT_FALSE(pool_.Has(1));
}

TEST_F(ExecutionMemoryPoolTest, WhatATaskHasOverdrawnCountsOnceAgainstItsCap) {
  Hold(1, 100);
  pool_.Overdraw(1, 300);
  GrantLimits limits = Limits(700);  // 1000 but for what is overdrawn
  EXPECT_EQ(pool_.Headroom(1, limits), 600);
  Hold(2, 0);
  EXPECT_EQ(pool_.Headroom(1, limits), 100) << "half of 1000";
  EXPECT_EQ(pool_.Headroom(2, limits), 350) << "half of what the other has left";
  limits.divide = false;
  EXPECT_EQ(pool_.Headroom(1, limits), 600);
  EXPECT_EQ(pool_.Headroom(2, limits), 700);
}

TEST_F(ExecutionMemoryPoolTest, ARetiredTaskDoesNotCount) {
  Hold(1, 400);
  Hold(2, 0);
  pool_.Retire(1);
  EXPECT_EQ(pool_.active_tasks(), 1);
  EXPECT_EQ(pool_.UsageOf(1), 400);
  EXPECT_EQ(pool_.used(), 400);
  EXPECT_EQ(pool_.retired(), 400);
  pool_.Retire(1);  // once more
  EXPECT_EQ(pool_.active_tasks(), 1);
  EXPECT_EQ(pool_.retired(), 400);
  EXPECT_EQ(pool_.Release(1, 100), 100);
  EXPECT_EQ(pool_.retired(), 300);
  EXPECT_EQ(pool_.Release(1, 300), 300);
  EXPECT_EQ(pool_.retired(), 0);
  EXPECT_FALSE(pool_.Has(1));
  EXPECT_EQ(pool_.active_tasks(), 1);
}

TEST_F(ExecutionMemoryPoolTest, RetiringDropsAnEmptyKey) {
  Hold(1, 0);
  pool_.Retire(1);
  pool_.Retire(2);  // unknown
  EXPECT_FALSE(pool_.Has(1));
  EXPECT_EQ(pool_.active_tasks(), 0);
}

TEST_F(ExecutionMemoryPoolTest, ARetiredTaskMayComeBack) {
  Hold(1, 400);
  pool_.Retire(1);
  bool inserted = false;
  ASSERT_TRUE(pool_.Register(1, &inserted));
  EXPECT_TRUE(inserted);  // N grew
  EXPECT_EQ(pool_.active_tasks(), 1);
  EXPECT_EQ(pool_.retired(), 0);
  EXPECT_EQ(pool_.UsageOf(1), 400);
}

TEST_F(ExecutionMemoryPoolTest, ClearForgetsAll) {
  Hold(1, 400);
  pool_.Overdraw(1, 5);
  Hold(2, 0);
  pool_.Clear();
  EXPECT_EQ(pool_.used(), 0);
  EXPECT_EQ(pool_.overdrawn(), 0);
  EXPECT_EQ(pool_.active_tasks(), 0);
  EXPECT_FALSE(pool_.Has(1));
  EXPECT_EQ(pool_.size(), 1000);
}

// The rules of EXEC-3 hold whatever happens, and the books are those of a plain map.
TEST_F(ExecutionMemoryPoolTest, RandomOperationsKeepTheRules) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  struct Task {
    int64_t bytes = 0;
    int64_t overdrawn = 0;
    bool is_active = false;
  };
  std::map<int64_t, Task> model;
  for (int i = 0; i < 50'000; ++i) {
    const auto id = static_cast<int64_t>(random() % 40);
    const auto bytes = static_cast<int64_t>(random() % 200);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: {
        bool inserted;
        ASSERT_TRUE(pool_.Register(id, &inserted));
        ASSERT_EQ(inserted, !model[id].is_active);
        model[id].is_active = true;
        const int64_t held = pool_.UsageOf(id);
        const GrantLimits limits = Limits(std::max<int64_t>(0, 1000 - pool_.overdrawn()));
        const ExecutionMemoryPool::Decision decision = pool_.Decide(id, bytes + 1, limits);
        ASSERT_GE(decision.grant, 0);
        ASSERT_LE(decision.grant, std::min(bytes + 1, pool_.free()));
        ASSERT_LE(held + decision.grant, std::max(held, 1000 / pool_.active_tasks()));
        if (decision.must_wait) {
          ASSERT_LT(held + decision.grant, 1000 / (2 * pool_.active_tasks()));
          break;
        }
        pool_.Grant(id, decision.grant);
        model[id].bytes += decision.grant;
        break;
      }
      case 3:
        pool_.Retire(id);
        if (model.contains(id)) model[id].is_active = false;
        break;
      case 4:
        if (!model.contains(id)) break;
        pool_.Overdraw(id, bytes);
        model[id].overdrawn += bytes;
        break;
      default: {
        Task task = model.contains(id) ? model[id] : Task();
        const int64_t repaid = std::min(bytes, task.overdrawn);
        const int64_t released = std::min(bytes - repaid, task.bytes);
        ASSERT_EQ(pool_.Release(id, bytes), repaid + released);
        if (!model.contains(id)) break;
        model[id].overdrawn -= repaid;
        model[id].bytes -= released;
        if (model[id].bytes + model[id].overdrawn == 0) model.erase(id);
        break;
      }
    }
    if (model.contains(id) && !model[id].is_active && model[id].bytes + model[id].overdrawn == 0) {
      model.erase(id);
    }
    int64_t used = 0;
    int64_t overdrawn = 0;
    int64_t active = 0;
    int64_t retired = 0;
    for (const auto& [task, at] : model) {
      used += at.bytes;
      overdrawn += at.overdrawn;
      active += at.is_active;
      retired += at.is_active ? 0 : at.bytes;
    }
    ASSERT_EQ(pool_.used(), used);
    ASSERT_EQ(pool_.overdrawn(), overdrawn);
    ASSERT_EQ(pool_.active_tasks(), active);
    ASSERT_EQ(pool_.retired(), retired);
    ASSERT_EQ(pool_.Has(id), model.contains(id)) << "operation " << i;
    ASSERT_LE(pool_.used(), pool_.size());
  }
}

// --share fair

TEST_F(ExecutionMemoryPoolTest, WhatOthersLackOfTheirShareIsKept) {
  Hold(1, 177);
  Hold(2, 5);
  Hold(3, 400);
  const auto decide = [&](int64_t task, int64_t bytes) {
    GrantLimits limits = {1000, pool_.size(), pool_.free(), false};
    limits.keeps_shares = true;
    return pool_.Decide(task, bytes, limits).grant;
  };
  // 1/2N is 166: the second lacks 161 of it, of 418 that are free.
  EXPECT_EQ(decide(1, 300), 257);
  EXPECT_EQ(decide(1, 200), 200);
  EXPECT_EQ(decide(2, 418), 418);
  pool_.Retire(2);
  EXPECT_EQ(decide(1, 418), 418);
}

// Whatever tasks of a number ask for and give back: what one lacks of 1/2N is there when it asks,
// and what others do not lack is had by who comes first.
TEST(FairShares, AreThereWhenTheyAreAskedFor) {
  constexpr int64_t kTasks = 7;
  constexpr int64_t kSize = 100'000;
  constexpr int64_t kShare = kSize / (2 * kTasks);
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](int64_t bound) {
    return std::uniform_int_distribution<int64_t>(0, bound - 1)(random);
  };
  ExecutionMemoryPool pool(MemoryMode::kOffHeap);
  pool.IncrementPoolSize(kSize);
  bool inserted;
  for (int64_t task = 0; task < kTasks; ++task) ASSERT_TRUE(pool.Register(task, &inserted));
  int64_t held[kTasks] = {};
  for (int step = 0; step < 20'000; ++step) {
    const int64_t task = below(kTasks);
    if (below(3) == 0) {
      // Not its last byte, with which it would leave N.
      if (held[task] > 1) held[task] -= pool.Release(task, below(held[task]));
      continue;
    }
    int64_t kept = 0;
    for (int64_t other = 0; other < kTasks; ++other) {
      if (other != task) kept += std::max<int64_t>(0, kShare - held[other]);
    }
    const int64_t bytes = 1 + below(below(2) == 0 ? 1000 : kSize);
    GrantLimits limits = {kSize, kSize, pool.free(), false};
    limits.keeps_shares = true;
    const int64_t grant = pool.Decide(task, bytes, limits).grant;
    ASSERT_EQ(grant, std::min(bytes, std::max<int64_t>(0, pool.free() - kept)));
    ASSERT_GE(grant, std::min(bytes, kShare - held[task])) << "its share was not there";
    if (grant == 0) continue;
    pool.Grant(task, grant);
    held[task] += grant;
    ASSERT_GE(pool.free(), kept) << "what is kept has been given away";
  }
}

}  // namespace
}  // namespace taskmem
