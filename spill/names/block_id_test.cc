#include "spill/names/block_id.h"

#include <gtest/gtest.h>

#include <string>

namespace taskmem {
namespace {

TEST(BlockIdTest, DefaultIsNoBlock) {
  const BlockId id;
  EXPECT_TRUE(id.name().empty());
  EXPECT_EQ(id.rdd_id(), BlockId::kNoRdd);
}

TEST(BlockIdTest, HoldsItsName) {
  BlockId id;
  {
    const std::string name = "rdd_1_2";
    ASSERT_TRUE(BlockId::FromName(name, &id));
  }
  EXPECT_EQ(id.name(), "rdd_1_2");
  EXPECT_STREQ(id.c_str(), "rdd_1_2");
}

TEST(BlockIdTest, RddIdOnlyOfWholeRddNames) {
  const struct {
    const char* name;
    int64_t rdd;
  } kNames[] = {{"rdd_1_2", 1},           {"rdd_10_0", 10},
                {"rdd_0_0", 0},           {"rdd_2147483647_0", 2147483647},
                {"rdd_2147483648_0", -1}, {"rdd_1", -1},
                {"rdd_a_1", -1},          {"rdd_1_", -1},
                {"rdd__1", -1},           {"rdd_1_2_3", -1},
                {"rdd_1_2x", -1},         {"rdd_-1_2", -1},
                {"xrdd_1_2", -1},         {"broadcast_3", -1},
                {"test_rdd_1_2", -1},     {"shuffle_1_2_3", -1}};
  for (const auto& each : kNames) {
    EXPECT_EQ(BlockId::RddIdOf(each.name), each.rdd) << each.name;
    BlockId id;
    ASSERT_TRUE(BlockId::FromName(each.name, &id));
    EXPECT_EQ(id.rdd_id(), each.rdd) << each.name;
  }
}

TEST(BlockIdTest, AnyNameIsANameButForItsLength) {
  BlockId id;
  EXPECT_TRUE(BlockId::FromName("a table's cache, part 7", &id));
  EXPECT_TRUE(BlockId::FromName("rdd_1", &id));
  EXPECT_TRUE(BlockId::FromName(std::string(BlockId::kMaxNameBytes, 'x'), &id));
  EXPECT_EQ(id.name().size(), BlockId::kMaxNameBytes);
  EXPECT_FALSE(BlockId::FromName(std::string(BlockId::kMaxNameBytes + 1, 'x'), &id));
  EXPECT_FALSE(BlockId::FromName("", &id));
  EXPECT_FALSE(BlockId::FromName(std::string_view("a\0b", 3), &id));
  EXPECT_EQ(id.name().size(), BlockId::kMaxNameBytes);  // as it was
}

TEST(BlockIdTest, ParsesNamesOfSpark) {
  for (const char* name :
       {"rdd_1_2", "broadcast_3", "broadcast_3_piece0", "test_x", "test_", "shuffle_1_2_3",
        "shuffle_1_2_3_4", "shuffle_1_2_3.data", "shuffle_1_2_3.index", "taskresult_7", "input-1-2",
        "temp_local_0a-f", "temp_shuffle_00-11"}) {
    BlockId id;
    EXPECT_TRUE(BlockId::Parse(name, &id)) << name;
    EXPECT_EQ(id.name(), name);
  }
}

TEST(BlockIdTest, RefusesWhatSparkRefuses) {
  BlockId id;
  for (const char* name :
       {"", "rdd_1", "rdd_a_1", "rdd_1_2_", "broadcast_", "broadcast_x", "taskresult_", "input-1",
        "shuffle_1_2", "temp_local_", "unknown", "Test_x", "broadcast_3.x"}) {
    EXPECT_FALSE(BlockId::Parse(name, &id)) << name;
  }
}

TEST(BlockIdTest, EqualIffNamesAre) {
  BlockId a;
  BlockId b;
  ASSERT_TRUE(BlockId::FromName("rdd_1_2", &a));
  ASSERT_TRUE(BlockId::FromName("rdd_1_2", &b));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.hash(), b.hash());
  ASSERT_TRUE(BlockId::FromName("rdd_1_20", &b));
  EXPECT_FALSE(a == b);
}

}  // namespace
}  // namespace taskmem
