#include "spill/memory/partially_serialized_block.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "spill/memory/store_testing.h"

namespace taskmem {
namespace {

constexpr int64_t kTask = 3;
constexpr int64_t kBytesEach = 8;

// A put that is interrupted after `buffered` values of `count`.
class PartialPut {
 public:
  PartialPut(Compatibility compatibility, int64_t buffered, int64_t count)
      : test_(compatibility, {.on_heap = 1000000, .on_heap_region = 999999}), values_(count) {
    test_.task = kTask;
    values_.on_next = [this, buffered](int64_t next) {
      if (next == buffered + 1 && !is_interrupted_) {
        is_interrupted_ = true;
        test_.manager.Cancel(cancellation_);
      }
    };
    test_.cancellation = &cancellation_;
    const PutOutcome outcome = test_.PutIteratorAsBytes("rdd_1_0", values_, serializer_, &partial);
    EXPECT_FALSE(outcome.is_stored);
    EXPECT_EQ(outcome.taken, buffered);
    unroll_bytes = outcome.unroll_bytes;
    EXPECT_GE(unroll_bytes, 512);
    // A second one, so that what is released too much is seen.
    EXPECT_TRUE(*test_.store.ReserveUnrollMemoryForTask(Id("rdd_1_1"), kOther, kOn, kTask));
    EXPECT_EQ(Unroll(), unroll_bytes);
  }

  // Unroll memory the task has, besides the second one's.
  int64_t Unroll() { return test_.UnrollOf(kTask) - kOther; }
  TestSerializer& serializer() { return serializer_; }
  TestStore& test() { return test_; }

  static constexpr int64_t kOther = 100000;

  int64_t unroll_bytes = 0;

 private:
  TestStore test_;
  TestValues values_;
  TestSerializer serializer_{kBytesEach};
  Cancellation cancellation_;
  bool is_interrupted_ = false;

 public:
  PartiallySerializedBlock partial;
};

std::vector<int64_t> UpTo(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

class PartiallySerializedBlockTest : public ::testing::TestWithParam<Compatibility> {
 protected:
  bool IsSpark() const { return GetParam() == Compatibility::kSpark; }

  StoreErrorCode Finish() {
    TestSink sink;
    return put_.partial.FinishWritingToStream(kTask, sink).error().code;
  }
  StoreErrorCode Values() { return put_.partial.ValuesIterator(kTask, &values_).code; }

  PartialPut put_{GetParam(), 20, 50};
  PartiallyUnrolledIterator values_;
};

// The seven cases of PartiallySerializedBlockSuite about what may be called when (S-PS).

TEST_P(PartiallySerializedBlockTest, PS_ValuesIteratorAfterDiscard) {
  put_.partial.Discard(kTask);
  EXPECT_EQ(Values(), StoreErrorCode::kDiscarded);
}

TEST_P(PartiallySerializedBlockTest, PS_FinishWritingAfterDiscard) {
  put_.partial.Discard(kTask);
  EXPECT_EQ(Finish(), StoreErrorCode::kDiscarded);
}

TEST_P(PartiallySerializedBlockTest, PS_DiscardTwice) {
  put_.partial.Discard(kTask);
  EXPECT_EQ(put_.Unroll(), 0);
  put_.partial.Discard(kTask);
  EXPECT_EQ(put_.Unroll(), 0);
  EXPECT_EQ(put_.serializer().closes, 1);
}

TEST_P(PartiallySerializedBlockTest, PS_ValuesIteratorTwice) {
  EXPECT_EQ(Values(), StoreErrorCode::kNone);
  EXPECT_EQ(Values(), StoreErrorCode::kAlreadyConsumed);
}

TEST_P(PartiallySerializedBlockTest, PS_FinishWritingTwice) {
  EXPECT_EQ(Finish(), StoreErrorCode::kNone);
  EXPECT_EQ(Finish(), StoreErrorCode::kAlreadyConsumed);
}

TEST_P(PartiallySerializedBlockTest, PS_FinishWritingAfterValuesIterator) {
  EXPECT_EQ(Values(), StoreErrorCode::kNone);
  EXPECT_EQ(Finish(), StoreErrorCode::kAlreadyConsumed);
}

TEST_P(PartiallySerializedBlockTest, PS_ValuesIteratorAfterFinishWriting) {
  EXPECT_EQ(Finish(), StoreErrorCode::kNone);
  EXPECT_EQ(Values(), StoreErrorCode::kAlreadyConsumed);
}

TEST_P(PartiallySerializedBlockTest, PS_TaskCompletionFreesTheBytesAndReleasesNothing) {
  EXPECT_GT(put_.partial.buffered_bytes(), 0);
  put_.partial.OnTaskCompletion();
  EXPECT_EQ(put_.partial.buffered_bytes(), 0);
  EXPECT_EQ(put_.Unroll(), put_.unroll_bytes);
}

// PART-2: Spark releases it once more, out of what else the task has.
TEST_P(PartiallySerializedBlockTest, DiscardAfterFinishWriting) {
  EXPECT_EQ(Finish(), StoreErrorCode::kNone);
  EXPECT_EQ(put_.Unroll(), 0);
  put_.partial.Discard(kTask);
  EXPECT_EQ(put_.Unroll(), IsSpark() ? -put_.unroll_bytes : 0);
}

TEST_P(PartiallySerializedBlockTest, DiscardAfterValuesIterator) {
  EXPECT_EQ(Values(), StoreErrorCode::kNone);
  put_.partial.Discard(kTask);
  EXPECT_EQ(put_.Unroll(), IsSpark() ? 0 : put_.unroll_bytes);
  int64_t count = 0;
  for (; values_.HasNext(kTask); values_.Next()) ++count;
  EXPECT_EQ(count, 50);
  EXPECT_EQ(put_.Unroll(), IsSpark() ? -put_.unroll_bytes : 0);
}

TEST_P(PartiallySerializedBlockTest, ValuesAreReadAfterTheBlockIsGone) {
  TestStore test(GetParam(), {.on_heap = 12000});
  TestValues rest(40);
  TestSerializer serializer(1024);
  auto partial = std::make_unique<PartiallySerializedBlock>();
  EXPECT_FALSE(test.PutIteratorAsBytes("rdd_1_0", rest, serializer, partial.get()).is_stored);
  PartiallyUnrolledIterator values;
  ASSERT_FALSE(partial->ValuesIterator(MemoryStore::kNoTask, &values));
  partial.reset();
  EXPECT_GT(test.Unroll(), 0);
  int64_t count = 0;
  for (; values.HasNext(MemoryStore::kNoTask); values.Next()) ++count;
  EXPECT_EQ(count, 40);
  EXPECT_EQ(test.Unroll(), 0);
}

TEST_P(PartiallySerializedBlockTest, UnusedOneGivesItsMemoryBackAtTheEndOfItsLife) {
  TestStore test(GetParam(), {.on_heap = 12000});
  TestValues rest(40);
  TestSerializer serializer(1024);
  {
    PartiallySerializedBlock partial;
    EXPECT_FALSE(test.PutIteratorAsBytes("rdd_1_0", rest, serializer, &partial).is_stored);
  }
  EXPECT_EQ(test.Unroll() == 0, !IsSpark());  // in Spark the task's end does
}

TEST_P(PartiallySerializedBlockTest, SinkThatFails) {
  TestSink sink;
  sink.limit = 100;
  EXPECT_EQ(put_.partial.FinishWritingToStream(kTask, sink).error().code,
            StoreErrorCode::kSinkFailed);
  EXPECT_EQ(put_.Unroll(), 0);
  EXPECT_EQ(put_.serializer().closes, 1);
}

TEST_P(PartiallySerializedBlockTest, SinkThatFailsAtTheRest) {
  TestSink sink;
  sink.limit = 30 * kBytesEach;
  EXPECT_EQ(put_.partial.FinishWritingToStream(kTask, sink).error().code,
            StoreErrorCode::kSinkFailed);
  EXPECT_EQ(put_.Unroll(), 0);
}

TEST_P(PartiallySerializedBlockTest, SerializerThatFailsAtTheRest) {
  put_.serializer().failing = 40;
  EXPECT_EQ(Finish(), StoreErrorCode::kSerializerFailed);
  EXPECT_EQ(put_.Unroll(), 0);
}

TEST_P(PartiallySerializedBlockTest, EmptyOneIsDiscarded) {
  PartiallySerializedBlock none;
  TestSink sink;
  EXPECT_EQ(none.FinishWritingToStream(kTask, sink).error().code, StoreErrorCode::kDiscarded);
  EXPECT_EQ(none.ValuesIterator(kTask, &values_).code, StoreErrorCode::kDiscarded);
  none.Discard(kTask);
}

INSTANTIATE_TEST_SUITE_P(Modes, PartiallySerializedBlockTest,
                         ::testing::Values(Compatibility::kSpark, Compatibility::kTaskmem),
                         [](const auto& each) {
                           return each.param == Compatibility::kSpark ? "kSpark" : "kTaskmem";
                         });

enum class Use { kDiscard, kFinishWriting, kValuesIterator };

// The 21 cases about what becomes of the values: seven sets of data, three uses (S-PS).
struct Data {
  int64_t buffered;
  int64_t count;
};
constexpr Data kData[] = {{50, 1000}, {0, 1000},  {1000, 1000}, {50, 120},
                          {0, 120},   {120, 120}, {0, 0}};

class PartiallySerializedDataTest
    : public ::testing::TestWithParam<std::tuple<Compatibility, int, Use>> {};

TEST_P(PartiallySerializedDataTest, ReleasesOnceAndLosesNothing) {
  const auto [compatibility, index, use] = GetParam();
  const Data data = kData[index];
  PartialPut put(compatibility, data.buffered, data.count);
  PartiallySerializedBlock& partial = put.partial;
  PartiallyUnrolledIterator values;
  TestSink sink;
  std::vector<int64_t> numbers;
  switch (use) {
    case Use::kDiscard: partial.Discard(kTask); break;
    case Use::kFinishWriting:
      EXPECT_EQ(*partial.FinishWritingToStream(kTask, sink), data.count * kBytesEach + 1);
      EXPECT_EQ(put.serializer().Decode(sink.bytes), UpTo(data.count));
      break;
    case Use::kValuesIterator:
      ASSERT_FALSE(partial.ValuesIterator(kTask, &values));
      EXPECT_EQ(put.Unroll(), put.unroll_bytes);
      while (values.HasNext(kTask)) numbers.push_back(NumberOf(values.Next()));
      EXPECT_EQ(numbers, UpTo(data.count));
      break;
  }
  EXPECT_EQ(put.Unroll(), 0);
  EXPECT_EQ(partial.buffered_bytes(), 0);
  EXPECT_EQ(put.serializer().closes, 1);
  EXPECT_EQ(partial.unroll_bytes(), put.unroll_bytes);
}

INSTANTIATE_TEST_SUITE_P(PS, PartiallySerializedDataTest,
                         ::testing::Combine(::testing::Values(Compatibility::kSpark,
                                                              Compatibility::kTaskmem),
                                            ::testing::Range(0, 7),
                                            ::testing::Values(Use::kDiscard, Use::kFinishWriting,
                                                              Use::kValuesIterator)));

}  // namespace
}  // namespace taskmem
