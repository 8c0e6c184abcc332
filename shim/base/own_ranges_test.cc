#include "shim/base/own_ranges.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace taskmem {
namespace {

const void* At(uint64_t address) { return reinterpret_cast<const void*>(address); }

uint64_t Listed() {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < g_own_range_count; ++i) {
    if (g_own_ranges[i].end != 0) bytes += g_own_ranges[i].end - g_own_ranges[i].start;
  }
  return bytes;
}

TEST(OwnRanges, GrowDownwardsAreListedOnceAndEnd) {
  NoteOwnRange(At(0x700000), 0x1000);
  NoteOwnRange(At(0x6ff000), 0x1000);
  ASSERT_EQ(g_own_range_count, 1u);
  EXPECT_EQ(g_own_ranges[0].start, 0x6ff000u);
  EXPECT_EQ(g_own_ranges[0].end, 0x701000u);
  NoteOwnRange(At(0x800000), 0x2000);
  ASSERT_EQ(g_own_range_count, 2u);
  EXPECT_EQ(g_own_ranges[1].start, 0x800000u);

  // What passes makes room for the next, and nothing grows into it.
  NotePassingRange(At(0x900000), 0x3000);
  NoteOwnRange(At(0x8ff000), 0x1000);
  ASSERT_EQ(g_own_range_count, 4u);
  EXPECT_EQ(Listed(), 0x2000u + 0x2000 + 0x3000 + 0x1000);
  ForgetOwnRange(At(0x900000), 0x1000);
  EXPECT_EQ(Listed(), 0x2000u + 0x2000 + 0x3000 + 0x1000) << "no such range";
  ForgetOwnRange(At(0x900000), 0x3000);
  EXPECT_EQ(Listed(), 0x2000u + 0x2000 + 0x1000);
  NotePassingRange(At(0xa00000), 0x5000);
  ASSERT_EQ(g_own_range_count, 4u);
  EXPECT_EQ(Listed(), 0x2000u + 0x2000 + 0x5000 + 0x1000);

  // From many threads: nothing is lost, nothing counted twice.
  const uint64_t before = Listed();
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t <= 4; ++t) {
    threads.emplace_back([t] {
      for (uint64_t i = 500; i-- > 0;) NoteOwnRange(At((t << 32) + i * 0x1000), 0x1000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Listed(), before + 4 * 500 * 0x1000);

  for (uint64_t i = 0; i < 2 * kMaxOwnRanges; ++i) NoteOwnRange(At(i << 20), 0x1000);
  EXPECT_EQ(g_own_range_count, kMaxOwnRanges);
}

}  // namespace
}  // namespace taskmem
