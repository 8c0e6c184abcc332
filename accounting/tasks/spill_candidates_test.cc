#include "accounting/tasks/spill_candidates.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

TEST(IsAsGoodToSpill, TheSmallestThatIsLargeEnoughIsBest) {
  EXPECT_TRUE(IsAsGoodToSpill(10, 20, 10));
  EXPECT_FALSE(IsAsGoodToSpill(20, 10, 10));
  EXPECT_TRUE(IsAsGoodToSpill(20, 9, 10)) << "9 are not enough";
  EXPECT_FALSE(IsAsGoodToSpill(9, 20, 10));
}

TEST(IsAsGoodToSpill, ElseTheLargest) {
  EXPECT_TRUE(IsAsGoodToSpill(9, 8, 10));
  EXPECT_FALSE(IsAsGoodToSpill(8, 9, 10));
  EXPECT_FALSE(IsAsGoodToSpill(0, 1, 10)) << "the requester is last";
}

TEST(IsAsGoodToSpill, OfEqualsTheLaterIs) {
  EXPECT_TRUE(IsAsGoodToSpill(20, 20, 10));
  EXPECT_TRUE(IsAsGoodToSpill(5, 5, 10));
}

TEST(SpillCandidates, KeepTheirOrderInPlaceAndInAMapping) {
  for (const size_t count : {0u, 1u, 32u, 33u, 10'000u}) {
    SpillCandidates candidates;
    if (count > candidates.capacity()) {
      ASSERT_TRUE(candidates.Reserve(count));
    }
    for (size_t i = 0; i < count; ++i) {
      EXPECT_FALSE(candidates.IsFull());
      candidates.Add(static_cast<int64_t>(i * 3), i);
    }
    EXPECT_EQ(candidates.IsFull(), count >= 32);
    uint64_t next = 0;
    for (const SpillCandidate& candidate : candidates) {
      EXPECT_EQ(candidate.number, next);
      EXPECT_EQ(candidate.key, static_cast<int64_t>(next * 3));
      EXPECT_FALSE(candidate.is_dropped);
      ++next;
    }
    EXPECT_EQ(next, count);
  }
}

TEST(SpillCandidates, MayReserveAgain) {
  SpillCandidates candidates;
  ASSERT_TRUE(candidates.Reserve(100));
  ASSERT_TRUE(candidates.Reserve(1000));
  EXPECT_EQ(candidates.capacity(), 1000u);
  EXPECT_FALSE(candidates.Reserve(SIZE_MAX / sizeof(SpillCandidate)));
  EXPECT_EQ(candidates.capacity(), 1000u);
}

TEST(Doubled, EndsAtTheLargestNumber) {
  EXPECT_EQ(Doubled(3, 0), 3);
  EXPECT_EQ(Doubled(3, 4), 48);
  EXPECT_EQ(Doubled(1, 62), int64_t{1} << 62);
  EXPECT_EQ(Doubled(1, 63), INT64_MAX);
  EXPECT_EQ(Doubled(3, 62), INT64_MAX);
  EXPECT_EQ(Doubled(INT64_MAX, 0), INT64_MAX);
  EXPECT_EQ(Doubled(INT64_MAX, 1000), INT64_MAX);
}

}  // namespace
}  // namespace taskmem
