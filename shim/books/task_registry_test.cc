#include "shim/books/task_registry.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "shim/books/fold.h"
#include "shim/books/pools.h"
#include "shim/books/slack.h"
#include "shim/options/options.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr uint32_t kNoSlot = UINT32_MAX;
constexpr uint64_t kMemoryBytes = uint64_t{1} << 30;
constexpr uint32_t kSlotsOfTasks = kMaxTaskSlots - kFirstTaskSlot;

int g_folds = 0;
bool g_can_fold = true;
uint32_t g_forgotten = kNoSlot;

// As malloc does it.
bool Charges(uint32_t slot, uint64_t bytes) {
  ChargeOutcome outcome = g_books[slot].TryCharge(bytes);
  if (outcome == ChargeOutcome::kOverGrant) outcome = ChargeFromPools(slot, bytes);
  return outcome == ChargeOutcome::kCharged;
}

}  // namespace

// Here a task owns nothing but its charge.
void FoldOwners(const SlotSet& from, uint32_t to) {
  ++g_folds;
  if (!g_can_fold) return;
  for (uint32_t slot = kFirstTaskSlot; slot < kMaxTaskSlots; ++slot) {
    if (!from.Contains(slot)) continue;
    const uint64_t bytes = g_books[slot].charged_bytes;
    g_books[to].ChargeOverQuota(bytes);
    g_books[slot].Credit(bytes);
  }
}

void ForgetPages(uint32_t slot) { g_forgotten = slot; }
void EndSpillConsumers(uint32_t, uint32_t) {}

// There is no allocator that could have slack.
int64_t CountedSlack() { return 0; }
void NoteMemoryIsNear() {}
bool GiveSlackBack() { return false; }

namespace {

// The registry is the process's: every test ends its tasks, and what ended
// before is still retained when the next one begins.
class TaskRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    static const bool is_open = [] {
      if (!StatsOpen()) return false;
      Options options;
      options.memory_bytes = kMemoryBytes;
      OpenPools(options);
      return true;
    }();
    ASSERT_TRUE(is_open);
  }

  void TearDown() override {
    uint32_t slot;
    for (const uint64_t id : std::set<uint64_t>(live_)) EndTask(id, &slot);
    g_can_fold = true;
    g_stats->thread_entries = 0;
  }

  // The new task's slot, or kNoSlot.
  uint32_t Begin(uint64_t id, const char* name = "") {
    uint32_t slot = kNoSlot;
    if (BeginTask(id, kNoQuota, name, false, &slot) == 0) live_.insert(id);
    return slot;
  }

  uint32_t End(uint64_t id) {
    uint32_t slot = kNoSlot;
    EXPECT_EQ(EndTask(id, &slot), 0);
    live_.erase(id);
    return slot;
  }

  // Begins and ends tasks that hold a byte each, so that `count` are retained.
  // Returns how many it took: 0 where more are retained than that.
  uint64_t RetainUntil(uint32_t count) {
    const uint32_t retained = Count(TaskState::kEnded);
    const uint64_t needed = retained < count ? count - retained : 0;
    for (uint64_t i = 0; i < needed; ++i) {
      const uint32_t slot = Begin(kLoadId + i);
      EXPECT_TRUE(Charges(slot, 1));
    }
    for (uint64_t i = 0; i < needed; ++i) End(kLoadId + i);
    return needed;
  }

  static uint32_t Count(TaskState state) {
    uint32_t count = 0;
    for (uint32_t slot = kFirstTaskSlot; slot < g_stats->task_slots; ++slot) {
      if (g_books[slot].state == state) ++count;
    }
    return count;
  }

  static uint64_t Granted() {
    uint64_t bytes = 0;
    for (uint32_t slot = kFirstTaskSlot; slot < g_stats->task_slots; ++slot) {
      bytes += g_books[slot].granted_bytes;
    }
    return bytes;
  }

  static uint64_t Charged() {
    uint64_t bytes = 0;
    for (uint32_t slot = 0; slot < g_stats->task_slots; ++slot) {
      bytes += g_books[slot].charged_bytes;
    }
    return bytes;
  }

 private:
  static constexpr uint64_t kLoadId = uint64_t{1} << 40;
  std::set<uint64_t> live_;
};

TEST_F(TaskRegistryTest, ATaskBeginsWithAFreshBook) {
  const uint64_t begun = g_stats->tasks_begun;
  uint32_t slot = kNoSlot;
  ASSERT_EQ(BeginTask(7, 4096, "seven", true, &slot), 0);
  EXPECT_GE(slot, kFirstTaskSlot);
  EXPECT_EQ(FindTask(7), slot);
  EXPECT_TRUE(g_task_slots[slot].always_hot);
  const TaskBook& book = g_books[slot];
  EXPECT_EQ(book.task_id, 7u);
  EXPECT_EQ(book.quota_bytes, 4096u);
  EXPECT_EQ(book.charged_bytes, 0u);
  EXPECT_EQ(book.peak_charged_bytes, 0u);
  EXPECT_EQ(book.state, TaskState::kLive);
  EXPECT_EQ(book.sequence % 2, 0u);
  EXPECT_STREQ(book.name, "seven");
  EXPECT_EQ(g_stats->tasks_begun, begun + 1);
  End(7);
}

TEST_F(TaskRegistryTest, AnIdIsLiveOnce) {
  uint32_t slot = kNoSlot;
  const uint32_t first = Begin(0, "first");
  EXPECT_EQ(BeginTask(0, kNoQuota, "second", false, &slot), EEXIST);
  EXPECT_STREQ(g_books[first].name, "first");
  EXPECT_EQ(BeginTask(UINT64_MAX, kNoQuota, nullptr, false, &slot), EEXIST) << "stands for no task";
  EXPECT_EQ(slot, kNoSlot);
}

TEST_F(TaskRegistryTest, WhatIsNotLiveCannotEnd) {
  uint32_t slot = kNoSlot;
  EXPECT_EQ(EndTask(1, &slot), ENOENT);
  Begin(1);
  End(1);
  EXPECT_EQ(EndTask(1, &slot), ENOENT);
  EXPECT_EQ(slot, kNoSlot);
  EXPECT_EQ(FindTask(1), kUntrackedSlot);
}

TEST_F(TaskRegistryTest, AnEndedTaskKeepsItsSlotAndItsIdIsFree) {
  const uint32_t first = Begin(1, "first");
  const uint32_t generation = g_task_slots[first].generation;
  EXPECT_TRUE(Charges(first, 100));
  EXPECT_EQ(End(1), first);
  EXPECT_EQ(g_task_slots[first].generation, generation + 1);
  const uint32_t second = Begin(1, "second");
  EXPECT_NE(second, first);
  EXPECT_EQ(FindTask(1), second);
  EXPECT_EQ(g_books[first].state, TaskState::kEnded);
  EXPECT_EQ(g_books[first].task_id, 1u);
  EXPECT_EQ(g_books[first].charged_bytes, 100u);
  EXPECT_STREQ(g_books[first].name, "first");
  EXPECT_EQ(g_task_slots[first].generation, generation + 1);
}

TEST_F(TaskRegistryTest, ATaskDrawsOnThePoolsFromItsFirstCharge) {
  const uint32_t slot = Begin(1);
  const uint64_t active = g_stats->pools.active_tasks;
  const uint64_t used = g_stats->pools.execution_used_bytes;
  EXPECT_EQ(g_books[slot].granted_bytes, 0u);
  EXPECT_TRUE(Charges(slot, 100));
  EXPECT_GE(g_books[slot].granted_bytes, 100u);
  EXPECT_EQ(g_stats->pools.active_tasks, active + 1);
  EXPECT_EQ(g_stats->pools.execution_used_bytes, used + g_books[slot].granted_bytes);
  EXPECT_FALSE(Charges(slot, kMemoryBytes)) << "it has some already";

  End(1);
  EXPECT_EQ(g_books[slot].granted_bytes, 100u) << "what it left behind, and nothing idle";
  EXPECT_EQ(g_stats->pools.active_tasks, active);
  EXPECT_EQ(g_stats->pools.execution_used_bytes, used + 100);
}

TEST_F(TaskRegistryTest, TheEndVoidsPageNumbers) {
  const uint32_t slot = Begin(1);
  g_forgotten = kNoSlot;
  End(1);
  EXPECT_EQ(g_forgotten, slot);
}

TEST_F(TaskRegistryTest, AReleasedSlotHoldsNothingOfThePools) {
  Begin(0);
  RetainUntil(2 * kMaxRetainedTasks);
  EXPECT_EQ(g_stats->pools.execution_used_bytes, Granted());
  EXPECT_GE(Granted(), uint64_t{2} * kMaxRetainedTasks);
  Begin(1);
  EXPECT_EQ(Count(TaskState::kEnded), kRetainedAfterFold);
  EXPECT_EQ(g_stats->pools.execution_used_bytes, Granted());
  for (uint32_t slot = kFirstTaskSlot; slot < g_stats->task_slots; ++slot) {
    if (g_books[slot].state == TaskState::kFree) {
      EXPECT_EQ(g_books[slot].granted_bytes, 0u);
    }
  }
}

TEST_F(TaskRegistryTest, NamesAreCopiedAndCut) {
  const std::string longest(TaskBook::kNameBytes - 1, 'x');
  const uint32_t slot = Begin(1, (longest + "y").c_str());
  EXPECT_EQ(g_books[slot].name, longest);
  RenameTask(slot, "short");
  EXPECT_STREQ(g_books[slot].name, "short");
  EXPECT_EQ(g_books[slot].task_id, 1u);
  EXPECT_EQ(g_books[slot].state, TaskState::kLive);
  EXPECT_STREQ(g_books[Begin(2, nullptr)].name, "");
}

TEST_F(TaskRegistryTest, TenThousandLiveTasks) {
  constexpr uint64_t kTasks = 10'000;
  std::vector<uint32_t> slots;
  for (uint64_t id = 0; id < kTasks; ++id) slots.push_back(Begin(id << 20));
  EXPECT_EQ(std::set<uint32_t>(slots.begin(), slots.end()).size(), kTasks);
  for (uint64_t id = 0; id < kTasks; ++id) EXPECT_EQ(FindTask(id << 20), slots[id]);
  for (uint64_t id = 0; id < kTasks; id += 2) End(id << 20);
  for (uint64_t id = 0; id < kTasks; ++id) {
    EXPECT_EQ(FindTask(id << 20), id % 2 == 0 ? kUntrackedSlot : slots[id]);
  }
}

TEST_F(TaskRegistryTest, OnlyLiveTasksCanUseUpTheSlots) {
  for (uint64_t id = 0; id < kSlotsOfTasks; ++id) ASSERT_NE(Begin(id), kNoSlot) << id;
  EXPECT_EQ(g_stats->task_slots, kMaxTaskSlots);
  uint32_t slot = kNoSlot;
  EXPECT_EQ(BeginTask(kSlotsOfTasks, kNoQuota, "", false, &slot), EAGAIN);
  EXPECT_EQ(BeginTask(5, kNoQuota, "", false, &slot), EEXIST);
  // A few that ended are enough, also where they held something.
  const uint32_t freed = FindTask(5);
  const uint64_t ended_bytes = g_books[kEndedTasksSlot].charged_bytes;
  EXPECT_TRUE(Charges(freed, 10));
  End(5);
  EXPECT_EQ(Begin(kSlotsOfTasks), freed);
  EXPECT_EQ(g_books[kEndedTasksSlot].charged_bytes, ended_bytes + 10);
  EXPECT_EQ(BeginTask(5, kNoQuota, "", false, &slot), EAGAIN);
}

TEST_F(TaskRegistryTest, FoldsTheOldestOnceTooManyAreRetained) {
  Begin(0);  // sweeps what tests before left, if it is much
  const uint64_t folded = g_stats->tasks_folded;
  RetainUntil(kMaxRetainedTasks);
  const uint32_t oldest_kept = Begin(1);
  EXPECT_EQ(g_stats->tasks_folded, folded) << "not yet too many";
  const uint64_t charged = Charged();
  EXPECT_TRUE(Charges(oldest_kept, 5));
  End(1);
  EXPECT_EQ(Count(TaskState::kEnded), kMaxRetainedTasks + 1);

  const uint32_t slots = g_stats->task_slots;
  const uint32_t reused = Begin(2);
  EXPECT_EQ(Count(TaskState::kEnded), kRetainedAfterFold);
  EXPECT_EQ(g_stats->tasks_folded, folded + kMaxRetainedTasks + 1 - kRetainedAfterFold);
  EXPECT_EQ(Charged(), charged + 5);
  EXPECT_EQ(g_books[oldest_kept].charged_bytes, 5u) << "the newest is kept";
  EXPECT_EQ(g_books[reused].charged_bytes, 0u);
  EXPECT_EQ(g_books[reused].peak_charged_bytes, 0u);
  for (uint64_t id = 10; id < 1000; ++id) Begin(id);
  EXPECT_EQ(g_stats->task_slots, slots) << "released slots serve new tasks";
}

TEST_F(TaskRegistryTest, FoldedTasksLeaveTheirCounts) {
  Begin(0);
  const uint64_t refusals = g_books[kEndedTasksSlot].refusals;
  const uint64_t overdrafts = g_books[kEndedTasksSlot].overdrafts;
  const uint32_t slot = Begin(1);
  g_books[slot].refusals = 3;
  g_books[slot].overdrafts = 2;
  End(1);
  RetainUntil(2 * kMaxRetainedTasks);
  Begin(2);
  EXPECT_EQ(g_books[slot].state, TaskState::kFree);
  EXPECT_EQ(g_books[kEndedTasksSlot].refusals, refusals + 3);
  // The fake charges over no quota.
  EXPECT_EQ(g_books[kEndedTasksSlot].overdrafts, overdrafts + 2);
}

TEST_F(TaskRegistryTest, ASlotThatAThreadNamesIsKept) {
  Begin(0);
  const uint32_t named = Begin(1);
  g_thread_entries[3].slot_plus_one = named + 1;
  g_stats->thread_entries = 4;
  End(1);
  RetainUntil(2 * kMaxRetainedTasks);
  Begin(2);
  EXPECT_EQ(g_books[named].state, TaskState::kEnded);
  g_thread_entries[3].slot_plus_one = 0;
  RetainUntil(2 * kMaxRetainedTasks);
  Begin(3);
  EXPECT_EQ(g_books[named].state, TaskState::kFree);
}

TEST_F(TaskRegistryTest, WhatCannotBeFoldedIsKeptAndNotTriedAtEveryBegin) {
  Begin(0);
  g_can_fold = false;
  const uint64_t charged = Charged();
  const uint64_t held = RetainUntil(2 * kMaxRetainedTasks);
  const int folds = g_folds;
  for (uint64_t id = 1; id <= 1000; ++id) {
    Begin(id);
    End(id);
  }
  EXPECT_LE(g_folds - folds, 2);
  EXPECT_EQ(Charged(), charged + held);
  g_can_fold = true;
  RetainUntil(4 * kMaxRetainedTasks);
  const uint64_t all = Charged();
  Begin(1);
  EXPECT_EQ(Count(TaskState::kEnded), kRetainedAfterFold);
  EXPECT_EQ(Charged(), all);
}

TEST_F(TaskRegistryTest, OneOfManyThreadsBeginsATask) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 2000;
  std::atomic<uint64_t> begun{0};
  std::atomic<uint64_t> ended{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      uint32_t slot = kNoSlot;
      for (uint64_t id = 0; id < kRounds; ++id) {
        const int error = BeginTask(id, kNoQuota, "shared", false, &slot);
        if (error == 0) ++begun;
        if (error != 0 && error != EEXIST) ADD_FAILURE() << error;
        if (EndTask(id, &slot) == 0) ++ended;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(begun, ended);
  EXPECT_GE(begun, kRounds);
  EXPECT_EQ(Count(TaskState::kLive), 0u);
}

}  // namespace
}  // namespace taskmem
