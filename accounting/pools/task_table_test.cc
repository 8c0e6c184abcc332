#include "accounting/pools/task_table.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace taskmem {
namespace {

TEST(TaskTable, FindsWhatWasInserted) {
  TaskTable table;
  EXPECT_EQ(table.Find(1), nullptr);
  EXPECT_EQ(table.size(), 0u);
  TaskEntry* const entry = table.Insert(1);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->task, 1);
  EXPECT_EQ(entry->bytes, 0);
  EXPECT_EQ(entry->overdrawn, 0);
  EXPECT_FALSE(entry->is_active);
  EXPECT_EQ(table.Find(1), entry);
  EXPECT_EQ(table.Find(2), nullptr);
  EXPECT_EQ(table.size(), 1u);
}

TEST(TaskTable, TakesAnyId) {
  TaskTable table;
  const std::vector<int64_t> ids = {0, -1, 1, INT64_MAX, INT64_MIN, -1024, int64_t{1} << 32};
  for (const int64_t id : ids) table.Insert(id)->bytes = id;
  for (const int64_t id : ids) {
    ASSERT_NE(table.Find(id), nullptr) << id;
    EXPECT_EQ(table.Find(id)->bytes, id);
  }
  EXPECT_EQ(table.size(), ids.size());
}

TEST(TaskTable, ForgetsWhatWasErased) {
  TaskTable table;
  table.Insert(7)->bytes = 70;
  table.Insert(8)->bytes = 80;
  table.Erase(table.Find(7));
  EXPECT_EQ(table.Find(7), nullptr);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.Insert(7)->bytes, 0);  // not what was there
  EXPECT_EQ(table.Find(8)->bytes, 80);
}

TEST(TaskTable, ClearKeepsNothing) {
  TaskTable table;
  for (int64_t id = 0; id < 100; ++id) table.Insert(id);
  table.Clear();
  EXPECT_EQ(table.size(), 0u);
  int visited = 0;
  table.ForEach([&visited](const TaskEntry&) { ++visited; });
  EXPECT_EQ(visited, 0);
  EXPECT_EQ(table.Find(5), nullptr);
  EXPECT_NE(table.Insert(5), nullptr);
}

TEST(TaskTable, VisitsEveryEntryOnce) {
  TaskTable table;
  for (int64_t id = 0; id < 1000; ++id) table.Insert(id);
  std::vector<int> seen(1000);
  table.ForEach([&seen](const TaskEntry& entry) { ++seen[static_cast<size_t>(entry.task)]; });
  EXPECT_EQ(seen, std::vector<int>(1000, 1));
}

TEST(TaskTable, LeavesErrnoAlone) {
  errno = ERANGE;
  {
    TaskTable table;
    for (int64_t id = 0; id < 1000; ++id) table.Insert(id);
  }
  EXPECT_EQ(errno, ERANGE);
}

struct Mix {
  const char* name;
  int inserts_of_ten;  // the rest erases
  int64_t ids;         // drawn from so many, so that most probes meet others
  int64_t stride;
};

class TaskTableRandomTest : public testing::TestWithParam<Mix> {};

TEST_P(TaskTableRandomTest, IsAMap) {
  const Mix& mix = GetParam();
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  TaskTable table;
  std::unordered_map<int64_t, int64_t> model;
  for (int i = 0; i < 100'000; ++i) {
    const int64_t id = static_cast<int64_t>(random() % static_cast<uint64_t>(mix.ids)) * mix.stride;
    TaskEntry* const entry = table.Find(id);
    const auto found = model.find(id);
    ASSERT_EQ(entry != nullptr, found != model.end()) << "operation " << i;
    if (entry != nullptr) {
      ASSERT_EQ(entry->bytes, found->second) << "operation " << i;
    }
    const bool inserts = static_cast<int>(random() % 10) < mix.inserts_of_ten;
    if (inserts && entry == nullptr) {
      const auto value = static_cast<int64_t>(random());
      table.Insert(id)->bytes = value;
      model[id] = value;
    } else if (!inserts && entry != nullptr) {
      table.Erase(entry);
      model.erase(found);
    }
    ASSERT_EQ(table.size(), model.size());
    if (i % 1000 != 0) continue;
    size_t visited = 0;
    table.ForEach([&](const TaskEntry& at) {
      ++visited;
      ASSERT_EQ(model.at(at.task), at.bytes);
    });
    ASSERT_EQ(visited, model.size());
  }
  for (const auto& [id, bytes] : model) {
    ASSERT_NE(table.Find(id), nullptr);
    EXPECT_EQ(table.Find(id)->bytes, bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Mixes, TaskTableRandomTest,
                         testing::Values(Mix{"InPlace", 5, 8, 1}, Mix{"Growing", 9, 50'000, 1},
                                         Mix{"Shrinking", 3, 1000, 1}, Mix{"Even", 5, 2000, 1},
                                         Mix{"HighBits", 5, 500, int64_t{1} << 40},
                                         Mix{"Negative", 5, 500, -1}),
                         [](const testing::TestParamInfo<Mix>& mix) { return mix.param.name; });

}  // namespace
}  // namespace taskmem
