#include "shim/mapping_book/mapping_notes.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

std::vector<uint64_t> Take(MappingNotes& notes) {
  std::vector<uint64_t> starts;
  notes.TakeAll([&](const MappingEvent& event) { starts.push_back(event.start); });
  return starts;
}

TEST(MappingNotes, ComeOutInTheirOrder) {
  MappingNotes notes;
  EXPECT_TRUE(notes.IsEmpty());
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(notes.Add({.start = i}));
  EXPECT_FALSE(notes.IsEmpty());
  EXPECT_EQ(Take(notes), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_TRUE(notes.IsEmpty());
  EXPECT_EQ(Take(notes), std::vector<uint64_t>{});
}

TEST(MappingNotes, AreLostWhenThereAreTooMany) {
  MappingNotes notes;
  uint64_t added = 0;
  while (notes.Add({.start = added})) ++added;
  EXPECT_GE(added, 64u);
  EXPECT_EQ(Take(notes).size(), added);
  EXPECT_TRUE(notes.Add({.start = 7}));
  EXPECT_EQ(Take(notes), std::vector<uint64_t>{7});
}

TEST(MappingNotes, OfManyThreadsAllComeOut) {
  static MappingNotes notes;
  constexpr uint64_t kEach = 20000;
  std::vector<std::thread> threads;
  std::atomic<int> running{3};
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([t, &running] {
      for (uint64_t i = 0; i < kEach; ++i) {
        while (!notes.Add({.start = t * kEach + i})) std::this_thread::yield();
      }
      --running;
    });
  }
  std::set<uint64_t> seen;
  uint64_t last[3] = {};
  for (bool is_last = false; !is_last;) {
    is_last = running == 0;
    for (const uint64_t start : Take(notes)) {
      EXPECT_TRUE(seen.insert(start).second);
      EXPECT_GE(start + 1, last[start / kEach]);
      last[start / kEach] = start + 1;
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.size(), 3 * kEach);
}

}  // namespace
}  // namespace taskmem
