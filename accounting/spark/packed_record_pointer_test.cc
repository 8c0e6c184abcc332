#include "accounting/spark/packed_record_pointer.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

TEST(PackedRecordPointer, GivesBackWhatWasPacked) {
  for (const int page : {0, 1, 63, 4096, 8191}) {
    for (const uint64_t offset : {0, 8, (1 << 27) - 1}) {
      for (const int partition : {0, 1, 8388607, 8388608, 16777215}) {
        const uint64_t address = EncodeAddress(page, offset);
        const Result<uint64_t> packed = PackedRecordPointer::PackPointer(address, partition);
        ASSERT_TRUE(packed.ok());
        EXPECT_EQ(PackedRecordPointer(*packed).partition_id(), partition);
        EXPECT_EQ(PackedRecordPointer(*packed).record_address(), address)
            << page << " " << offset << " " << partition;
      }
    }
  }
}

// As recorded.
TEST(PackedRecordPointer, PacksAsSparkDoes) {
  EXPECT_EQ(*PackedRecordPointer::PackPointer(0, 1), 1099511627776u);
  EXPECT_EQ(*PackedRecordPointer::PackPointer(8, 8388607), 9223370937343148040u);
  EXPECT_EQ(*PackedRecordPointer::PackPointer(0, 8388608), uint64_t{1} << 63);
  EXPECT_EQ(static_cast<int64_t>(*PackedRecordPointer::PackPointer(8, 16777215)), -1099511627768);
  EXPECT_EQ(*PackedRecordPointer::PackPointer(EncodeAddress(1, 0), 0), uint64_t{1} << 27);
}

TEST(PackedRecordPointer, CutsAnOffsetThatIsTooLarge) {
  const uint64_t packed = *PackedRecordPointer::PackPointer(EncodeAddress(3, (1 << 27) + 40), 7);
  EXPECT_EQ(PackedRecordPointer(packed).record_address(), EncodeAddress(3, 40));
  EXPECT_EQ(PackedRecordPointer(packed).partition_id(), 7);
}

TEST(PackedRecordPointer, RefusesAPartitionThatDoesNotExist) {
  EXPECT_EQ(PackedRecordPointer::PackPointer(0, 16777216).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(PackedRecordPointer::PackPointer(0, -1).error().code, ErrorCode::kInvalidArgument);
}

TEST(PackedRecordPointer, OrdersByPartition) {
  const uint64_t last_of_one = *PackedRecordPointer::PackPointer(UINT64_MAX, 1);
  const uint64_t first_of_two = *PackedRecordPointer::PackPointer(0, 2);
  const uint64_t last = *PackedRecordPointer::PackPointer(0, 16777215);
  EXPECT_LT(last_of_one, first_of_two);
  EXPECT_LT(first_of_two, last);
}

}  // namespace
}  // namespace taskmem
