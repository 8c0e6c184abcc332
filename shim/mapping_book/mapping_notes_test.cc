#include "shim/mapping_book/mapping_notes.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

void* NoMemory(size_t) { return nullptr; }
void* Memory(size_t bytes) { return calloc(1, bytes); }

std::vector<uint64_t> Take(MappingNotes& notes) {
  std::vector<uint64_t> starts;
  notes.TakeAll([&](const MappingEvent& event) { starts.push_back(event.start); });
  return starts;
}

TEST(MappingNotes, ComeOutInTheirOrder) {
  MappingNotes notes;
  EXPECT_TRUE(notes.IsEmpty());
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(notes.Add({.start = i}, NoMemory));
  EXPECT_FALSE(notes.IsEmpty());
  EXPECT_EQ(Take(notes), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_TRUE(notes.IsEmpty());
  EXPECT_EQ(Take(notes), std::vector<uint64_t>{});
}

TEST(MappingNotes, MayBeAnyNumber) {
  constexpr uint64_t kMany = 10'000;
  static MappingNotes notes;
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < kMany; ++i) EXPECT_TRUE(notes.Add({.start = i}, Memory));
    const std::vector<uint64_t> starts = Take(notes);
    ASSERT_EQ(starts.size(), kMany);
    for (uint64_t i = 0; i < kMany; ++i) EXPECT_EQ(starts[i], i);
  }
}

TEST(MappingNotes, AreLostWithoutMemory) {
  MappingNotes notes;
  uint64_t added = 0;
  while (notes.Add({.start = added}, NoMemory)) ++added;
  EXPECT_GE(added, 64u);
  EXPECT_EQ(Take(notes).size(), added);
  EXPECT_TRUE(notes.Add({.start = 7}, NoMemory));
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
        while (!notes.Add({.start = t * kEach + i}, NoMemory)) std::this_thread::yield();
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
