#include "accounting/tasks/reclaim_book.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

TEST(ReclaimBook, ResetKeepsWhatIsHeld) {
  ReclaimBook book{};
  for (auto event : ReclaimBook::kEvents) (book.*event) = 7;
  book.longest_stall_ns = 9;
  book.overflow_bytes = 100;
  book.peak_overflow_bytes = 300;
  book.Reset();
  for (auto event : ReclaimBook::kEvents) EXPECT_EQ((book.*event).load(), 0u);
  EXPECT_EQ(book.longest_stall_ns.load(), 0u);
  EXPECT_EQ(book.overflow_bytes.load(), 100u);
  EXPECT_EQ(book.peak_overflow_bytes.load(), 100u);
}

TEST(ReclaimBook, AddsEventsAndTakesTheLargerOfMaxima) {
  ReclaimBook sum{};
  ReclaimBook ended{};
  for (auto event : ReclaimBook::kEvents) {
    (sum.*event) = 2;
    (ended.*event) = 3;
  }
  sum.longest_stall_ns = 10;
  ended.longest_stall_ns = 5;
  sum.peak_overflow_bytes = 1;
  ended.peak_overflow_bytes = 4;
  ended.overflow_bytes = 50;
  sum.AddEventsOf(ended);
  for (auto event : ReclaimBook::kEvents) EXPECT_EQ((sum.*event).load(), 5u);
  EXPECT_EQ(sum.longest_stall_ns.load(), 10u);
  EXPECT_EQ(sum.peak_overflow_bytes.load(), 4u);
  EXPECT_EQ(sum.overflow_bytes.load(), 0u);
}

TEST(ReclaimBook, EveryMemberIsAnEventAMaximumOrTheBalance) {
  constexpr size_t kMembers = std::size(ReclaimBook::kEvents) + std::size(ReclaimBook::kMaxima) + 1;
  // The last member ends where that many end.
  ReclaimBook book{};
  const auto* first = &book.spill_calls;
  EXPECT_EQ(&book.wait_ns - first + 1, static_cast<ptrdiff_t>(kMembers));
}

TEST(ReclaimBook, AStallRaisesTheLongest) {
  ReclaimBook book{};
  book.AddStall(5);
  book.AddStall(3);
  EXPECT_EQ(book.stalls.load(), 2u);
  EXPECT_EQ(book.stall_ns.load(), 8u);
  EXPECT_EQ(book.longest_stall_ns.load(), 5u);
}

}  // namespace
}  // namespace taskmem
