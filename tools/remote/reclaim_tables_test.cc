#include "tools/remote/reclaim_tables.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "accounting/audit/reclaim_layout.h"

namespace taskmem {
namespace {

// A process's memory: pieces at addresses of our choice.
class MadeMemory : public RemoteMemory {
 public:
  template <typename T>
  void Put(uint64_t address, const T& value) {
    for (size_t i = 0; i < sizeof(value); ++i) {
      bytes_[address + i] = reinterpret_cast<const char*>(&value)[i];
    }
  }
  void PutText(uint64_t address, const std::string& text) {
    for (size_t i = 0; i <= text.size(); ++i) Put(address + i, text.c_str()[i]);
  }
  void PutZeroes(uint64_t address, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) bytes_[address + i] = 0;
  }

 protected:
  size_t CopyMemory(uint64_t address, void* to, size_t bytes) const override {
    for (size_t i = 0; i < bytes; ++i) {
      const auto found = bytes_.find(address + i);
      if (found == bytes_.end()) return i;
      static_cast<char*>(to)[i] = found->second;
    }
    return bytes;
  }

 private:
  std::map<uint64_t, char> bytes_;
};

constexpr uint64_t kLayout = 0x1000;
constexpr uint64_t kArrays = 0x2000;
constexpr uint64_t kFirst = 0x3000;
constexpr uint64_t kSecond = 0x8000;
constexpr uint64_t kNewest = 0x2800;
constexpr uint64_t kBlock = 0x10000;
constexpr uint64_t kEntry = 64;

class ReclaimTablesTest : public ::testing::Test {
 protected:
  ReclaimTablesTest() {
    layout_.consumers = {kArrays, 26, 4, kEntry, 0, 8, 16, 24, 60, 61};
    layout_.blocks = {kNewest, kEntry, 0, 8, 16};
    memory_.PutZeroes(kArrays, 26 * 8);
    memory_.PutZeroes(kNewest, 8);
  }

  void AddConsumer(uint64_t array, int index, uint64_t slot, const std::string& name) {
    const uint64_t at = array + static_cast<uint64_t>(index) * kEntry;
    memory_.Put(at, uint64_t{7} << 32 | static_cast<uint64_t>(index));
    memory_.Put(at + 8, uint64_t{9} << 48 | uint64_t{1000});
    memory_.Put(at + 16, uint64_t{3} << 32 | slot);
    memory_.PutText(at + 24, name);
  }
  ReclaimTables Read() {
    memory_.Put(kLayout, layout_);
    return ReadReclaimTables(memory_, kLayout);
  }

  MadeMemory memory_;
  ReclaimLayout layout_ = {};
};

TEST_F(ReclaimTablesTest, NothingIsNothing) {
  EXPECT_TRUE(ReadReclaimTables(memory_, 0).consumers.empty());
  EXPECT_TRUE(ReadReclaimTables(memory_, 0x999000).blocks.empty());
  EXPECT_TRUE(Read().consumers.empty());
}

TEST_F(ReclaimTablesTest, ConsumersAreThoseThatHaveAnId) {
  memory_.Put(kArrays, kFirst);
  memory_.Put(kArrays + 8, kSecond);
  memory_.PutZeroes(kFirst, 4 * kEntry);
  memory_.PutZeroes(kSecond, 8 * kEntry);
  AddConsumer(kFirst, 1, 40, "sorter");
  AddConsumer(kSecond, 7, 41, "");
  memory_.Put(kSecond + 7 * kEntry + 60, char{1});
  memory_.Put(kSecond + 7 * kEntry + 61, char{2});
  const ReclaimTables tables = Read();
  ASSERT_EQ(tables.consumers.size(), 2u);
  EXPECT_EQ(tables.consumers[0].slot, 40u);
  EXPECT_EQ(tables.consumers[0].name, "sorter");
  EXPECT_EQ(tables.consumers[0].used_bytes, 1000u);
  EXPECT_FALSE(tables.consumers[0].has_own_thread);
  EXPECT_FALSE(tables.consumers[0].is_running);
  EXPECT_EQ(tables.consumers[1].slot, 41u);
  EXPECT_TRUE(tables.consumers[1].has_own_thread);
  EXPECT_TRUE(tables.consumers[1].is_running);
  EXPECT_FALSE(tables.has_more);
}

TEST_F(ReclaimTablesTest, BlocksAreInOrderOfUse) {
  memory_.Put(kNewest, kBlock);
  for (uint64_t i = 0; i < 3; ++i) {
    const uint64_t at = kBlock + i * kEntry;
    memory_.PutZeroes(at, kEntry);
    memory_.Put(at, i < 2 ? at + kEntry : uint64_t{0});
    memory_.Put(at + 8, static_cast<int64_t>(i) - 1);
    memory_.PutText(at + 16, "rdd_" + std::to_string(i));
  }
  const ReclaimTables tables = Read();
  ASSERT_EQ(tables.blocks.size(), 3u);
  EXPECT_EQ(tables.blocks[0].name, "rdd_0");
  EXPECT_EQ(tables.blocks[0].bytes, 0u);  // less than none is none
  EXPECT_EQ(tables.blocks[2].name, "rdd_2");
  EXPECT_EQ(tables.blocks[2].bytes, 1u);
}

TEST_F(ReclaimTablesTest, AListThatGoesRoundHasAnEnd) {
  memory_.Put(kNewest, kBlock);
  memory_.PutZeroes(kBlock, kEntry);
  memory_.Put(kBlock, kBlock);
  const ReclaimTables tables = Read();
  EXPECT_EQ(tables.blocks.size(), kMostBlocks);
  EXPECT_TRUE(tables.has_more);
}

// Any field of the layout is anything.
TEST_F(ReclaimTablesTest, WhatIsForgedDoesNoHarm) {
  memory_.Put(kArrays, kFirst);
  memory_.PutZeroes(kFirst, 4 * kEntry);
  AddConsumer(kFirst, 0, 40, "sorter");
  memory_.Put(kNewest, kBlock);
  memory_.PutZeroes(kBlock, kEntry);
  const ReclaimLayout right = layout_;
  for (size_t word = 0; word < sizeof(ReclaimLayout) / sizeof(uint64_t); ++word) {
    for (const uint64_t value :
         {uint64_t{0}, uint64_t{1}, uint64_t{63}, uint64_t{64}, uint64_t{65}, uint64_t{4096},
          uint64_t{4097}, uint64_t{1} << 32, uint64_t{1} << 47, uint64_t{1} << 63, UINT64_MAX - 7,
          UINT64_MAX}) {
      layout_ = right;
      memcpy(reinterpret_cast<char*>(&layout_) + word * sizeof(uint64_t), &value, sizeof(value));
      const ReclaimTables tables = Read();
      EXPECT_LE(tables.consumers.size(), kMostConsumers);
      EXPECT_LE(tables.blocks.size(), kMostBlocks);
    }
  }
}

}  // namespace
}  // namespace taskmem
