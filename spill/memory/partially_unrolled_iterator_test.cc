#include "spill/memory/partially_unrolled_iterator.h"

#include <gtest/gtest.h>

#include <vector>

#include "spill/memory/store_testing.h"

namespace taskmem {
namespace {

constexpr int64_t kTask = 3;

// Unroll memory 1000 for the first values, and a limit that the rest does not keep.
class PartiallyUnrolledIteratorTest : public ::testing::TestWithParam<Compatibility> {
 protected:
  PartiallyUnrolledIteratorTest()
      : test_(GetParam(), {.on_heap = 1001, .on_heap_region = 1000, .threshold = 1000}) {
    test_.task = kTask;
  }

  bool IsSpark() const { return GetParam() == Compatibility::kSpark; }

  // Values 1 to 1500, of which `unrolled` are taken before there is no room.
  void Put(int64_t unrolled) {
    struct Sizes final : SizeEstimator {
      int64_t Estimate(void* const*, int64_t count) override { return count >= last ? 1000 : 0; }
      int64_t last = 0;
    } sizes;
    sizes.last = unrolled;
    const PutOutcome outcome = test_.PutValuesOf("rdd_1_0", rest_, sizes, &values_, kOn, &closer_);
    EXPECT_FALSE(outcome.is_stored);
    EXPECT_EQ(outcome.taken, unrolled);
    EXPECT_EQ(test_.UnrollOf(kTask), 1000);
  }

  TestStore test_;
  TestCloser closer_;
  TestValues rest_{1500};
  PartiallyUnrolledIterator values_;
};

// S-PU: the memory is released once, by the first HasNext behind the unrolled values.
TEST_P(PartiallyUnrolledIteratorTest, PU_JoinsTwoIterators) {
  Put(993);  // 1 + 62 * 16
  for (int64_t number = 1; number <= 993; ++number) {
    ASSERT_TRUE(values_.HasNext(kTask));
    ASSERT_TRUE(values_.HasNext(kTask));  // any number of times
    EXPECT_EQ(NumberOf(values_.Next()), number);
  }
  EXPECT_EQ(test_.UnrollOf(kTask), 1000);
  EXPECT_EQ(values_.unroll_bytes(), 1000);
  ASSERT_TRUE(values_.HasNext(kTask));
  EXPECT_EQ(test_.UnrollOf(kTask), 0);
  EXPECT_EQ(values_.unroll_bytes(), 0);
  ASSERT_TRUE(*test_.store.ReserveUnrollMemoryForTask(Id("rdd_1_1"), 1000, kOn, kTask));
  for (int64_t number = 994; number <= 1500; ++number) {
    ASSERT_TRUE(values_.HasNext(kTask));
    EXPECT_EQ(NumberOf(values_.Next()), number);
  }
  EXPECT_FALSE(values_.HasNext(kTask));
  values_.Close(kTask);
  EXPECT_EQ(test_.UnrollOf(kTask), 1000);
  EXPECT_TRUE(closer_.closed().empty());  // who took them has them
}

TEST_P(PartiallyUnrolledIteratorTest, NextAloneReleasesNothing) {
  Put(1);
  EXPECT_EQ(NumberOf(values_.Next()), 1);
  EXPECT_EQ(NumberOf(values_.Next()), 2);
  EXPECT_EQ(test_.UnrollOf(kTask), 1000);
}

TEST_P(PartiallyUnrolledIteratorTest, CloseReleasesAndClosesWhatIsLeft) {
  Put(17);
  ASSERT_TRUE(values_.HasNext(kTask));
  values_.Next();
  values_.Close(kTask);
  EXPECT_EQ(test_.UnrollOf(kTask), 0);
  EXPECT_EQ(closer_.closed().size(), 16u);
  values_.Close(kTask);
  ASSERT_TRUE(values_.HasNext(kTask));
  EXPECT_EQ(NumberOf(values_.Next()), 18);  // of the rest nothing is lost
}

TEST_P(PartiallyUnrolledIteratorTest, EndsWithItsLife) {
  {
    PartiallyUnrolledIterator values;
    LinearSizes sizes(1000);
    TestValues rest(10);
    EXPECT_FALSE(test_.PutValuesOf("rdd_1_0", rest, sizes, &values, kOn, &closer_).is_stored);
  }
  EXPECT_EQ(test_.Unroll(), 0);
  EXPECT_EQ(closer_.closed().size(), 1u);
}

// Spark takes it out of what the task has that asks; kTaskmem knows whose it is.
TEST_P(PartiallyUnrolledIteratorTest, ReleasedByAnotherTask) {
  Put(1);
  values_.Close(kTask + 1);
  EXPECT_EQ(test_.UnrollOf(kTask), IsSpark() ? 1000 : 0);
}

TEST_P(PartiallyUnrolledIteratorTest, RestThatFails) {
  TestValues rest(10, 1, 3);
  LinearSizes sizes(1000);
  EXPECT_FALSE(test_.PutValuesOf("rdd_1_0", rest, sizes, &values_).is_stored);
  EXPECT_FALSE(values_.has_failed());
  int64_t count = 0;
  for (; values_.HasNext(kTask); values_.Next()) ++count;
  EXPECT_EQ(count, 2);
  EXPECT_TRUE(values_.has_failed());
}

TEST_P(PartiallyUnrolledIteratorTest, EmptyOneHasNothing) {
  EXPECT_FALSE(values_.HasNext(kTask));
  EXPECT_EQ(values_.Next(), nullptr);
  values_.Close(kTask);
  EXPECT_FALSE(values_.has_failed());
}

INSTANTIATE_TEST_SUITE_P(Modes, PartiallyUnrolledIteratorTest,
                         ::testing::Values(Compatibility::kSpark, Compatibility::kTaskmem),
                         [](const auto& each) {
                           return each.param == Compatibility::kSpark ? "kSpark" : "kTaskmem";
                         });

}  // namespace
}  // namespace taskmem
