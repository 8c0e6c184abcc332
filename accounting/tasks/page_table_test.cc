#include "accounting/tasks/page_table.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace taskmem {
namespace {

TEST(EncodedAddress, KeepsPageAndOffset) {
  for (const int page : {0, 1, 63, 8191}) {
    for (const uint64_t offset : {uint64_t{0}, uint64_t{16}, kOffsetMask}) {
      const uint64_t address = EncodeAddress(page, offset);
      EXPECT_EQ(DecodePageNumber(address), page);
      EXPECT_EQ(DecodeOffset(address), offset);
    }
  }
}

// As recorded.
TEST(EncodedAddress, IsSparks) {
  EXPECT_EQ(EncodeAddress(0, 2251799813685248), 0u) << "52 bits";
  EXPECT_EQ(EncodeAddress(0, UINT64_MAX), 2251799813685247u);
  EXPECT_EQ(EncodeAddress(1, 16), 2251799813685264u);
  EXPECT_EQ(EncodeAddress(63, 0), 141863388262170624u);
  EXPECT_EQ(kMaxPageBytes, 17179869176);
}

TEST(PageNumbers, GivesTheLowestFreeOne) {
  PageNumbers numbers;
  EXPECT_TRUE(numbers.IsEmpty());
  for (int i = 0; i < 200; ++i) EXPECT_EQ(numbers.Allocate(), i);
  numbers.Free(150);
  numbers.Free(3);
  numbers.Free(70);
  EXPECT_FALSE(numbers.IsTaken(70));
  EXPECT_TRUE(numbers.IsTaken(71));
  EXPECT_EQ(numbers.Allocate(), 3);
  EXPECT_EQ(numbers.Allocate(), 70);
  EXPECT_EQ(numbers.Allocate(), 150);
  EXPECT_EQ(numbers.Allocate(), 200);
}

TEST(PageNumbers, AreFinite) {
  PageNumbers numbers;
  for (int i = 0; i < kPageTableSize; ++i) ASSERT_EQ(numbers.Allocate(), i);
  EXPECT_EQ(numbers.Allocate(), -1);
  EXPECT_EQ(numbers.Allocate(), -1);
  numbers.Free(8191);
  EXPECT_EQ(numbers.Allocate(), 8191);
  numbers.Clear();
  EXPECT_TRUE(numbers.IsEmpty());
  EXPECT_EQ(numbers.Allocate(), 0);
}

TEST(PageNumbers, ThereAreNoOthers) {
  PageNumbers numbers;
  for (int i = 0; i < kPageTableSize; ++i) numbers.Allocate();
  EXPECT_FALSE(numbers.IsTaken(-1));
  EXPECT_FALSE(numbers.IsTaken(-64));
  EXPECT_FALSE(numbers.IsTaken(kPageTableSize));
}

TEST(PageNumbers, AreThoseOfASortedSet) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  PageNumbers numbers;
  std::set<int> taken;
  for (int round = 0; round < 20'000; ++round) {
    // Grows, then shrinks.
    const bool allocates = random() % 8 < (round < 10'000 ? 6u : 2u);
    if (allocates) {
      int lowest = 0;
      for (const int number : taken) {
        if (number != lowest) break;
        ++lowest;
      }
      const int got = numbers.Allocate();
      ASSERT_EQ(got, lowest == kPageTableSize ? -1 : lowest);
      if (got >= 0) taken.insert(got);
    } else if (!taken.empty()) {
      const auto victim = std::next(taken.begin(), random() % taken.size());
      numbers.Free(*victim);
      taken.erase(victim);
    }
    ASSERT_EQ(numbers.IsEmpty(), taken.empty());
  }
  for (int number = 0; number < kPageTableSize; ++number) {
    EXPECT_EQ(numbers.IsTaken(number), taken.contains(number));
  }
}

class PageTableTest : public testing::Test {
 protected:
  PageTable table_;
  char memory_[2] = {};
};

TEST_F(PageTableTest, IsEmptyBeforeItsFirstPage) {
  EXPECT_FALSE(table_.IsReserved(0));
  EXPECT_EQ(table_.BaseOf(0), nullptr);
  EXPECT_EQ(table_.BaseOf(0, 0), nullptr);
  EXPECT_EQ(table_.Get(0).base, nullptr);
  EXPECT_EQ(table_.Take(0, 0, false).base, nullptr);
  EXPECT_EQ(table_.live_pages(), 0);
  EXPECT_TRUE(table_.reserved().IsEmpty());
}

TEST_F(PageTableTest, FindsAPageByNumberAndSerial) {
  EXPECT_EQ(table_.Reserve(), 0);
  EXPECT_EQ(table_.Reserve(), 1);
  EXPECT_EQ(table_.BaseOf(1), nullptr) << "it is only reserved";
  const uint64_t serial = table_.Put(1, memory_, 10);
  EXPECT_EQ(table_.live_pages(), 1);
  EXPECT_EQ(table_.BaseOf(1), memory_);
  EXPECT_EQ(table_.BaseOf(1, serial), memory_);
  EXPECT_EQ(table_.BaseOf(1, serial + 1), nullptr);
  EXPECT_EQ(table_.BaseOf(0, serial), nullptr);
  EXPECT_EQ(table_.Get(1).size, 10);
}

TEST_F(PageTableTest, RefusesWhatIsNoPageOfIt) {
  ASSERT_EQ(table_.Reserve(), 0);
  const uint64_t serial = table_.Put(0, memory_, 10);
  for (const int number : {-3, -1, 1, kPageTableSize, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(table_.BaseOf(number), nullptr) << number;
    EXPECT_EQ(table_.BaseOf(number, serial), nullptr) << number;
    EXPECT_EQ(table_.Take(number, serial, false).base, nullptr) << number;
  }
  EXPECT_EQ(table_.Take(0, serial + 1, false).base, nullptr);
  EXPECT_EQ(table_.live_pages(), 1);
}

TEST_F(PageTableTest, APageIsTakenOnce) {
  ASSERT_EQ(table_.Reserve(), 0);
  const uint64_t serial = table_.Put(0, memory_, 10);
  const PageTable::Page taken = table_.Take(0, serial, false);
  EXPECT_EQ(taken.base, memory_);
  EXPECT_EQ(taken.size, 10);
  EXPECT_EQ(table_.Take(0, serial, false).base, nullptr);
  EXPECT_EQ(table_.BaseOf(0), nullptr);
  EXPECT_FALSE(table_.IsReserved(0));
  EXPECT_EQ(table_.live_pages(), 0);
}

TEST_F(PageTableTest, ANumbersNextPageIsAnother) {
  ASSERT_EQ(table_.Reserve(), 0);
  const uint64_t first = table_.Put(0, memory_, 10);
  table_.Take(0, first, false);
  ASSERT_EQ(table_.Reserve(), 0);
  const uint64_t second = table_.Put(0, memory_ + 1, 20);
  EXPECT_NE(first, second);
  EXPECT_EQ(table_.Take(0, first, false).base, nullptr);
  EXPECT_EQ(table_.BaseOf(0, second), memory_ + 1);
}

TEST_F(PageTableTest, ANumberMayOutliveItsPage) {
  ASSERT_EQ(table_.Reserve(), 0);
  const uint64_t serial = table_.Put(0, memory_, 10);
  EXPECT_EQ(table_.Take(0, serial, true).base, memory_);
  EXPECT_TRUE(table_.IsReserved(0));
  EXPECT_TRUE(table_.reserved().IsTaken(0));
  EXPECT_EQ(table_.Reserve(), 1);
  table_.Unreserve(0);
  EXPECT_EQ(table_.Reserve(), 0);
}

TEST_F(PageTableTest, IsFullAfterItsLastNumber) {
  for (int i = 0; i < kPageTableSize; ++i) ASSERT_EQ(table_.Reserve(), i);
  EXPECT_EQ(table_.Reserve(), PageTable::kFull);
}

}  // namespace
}  // namespace taskmem
