#include "spill/names/storage_level.h"

#include <gtest/gtest.h>

#include <string>

namespace taskmem {
namespace {

std::string TextOf(const StorageLevel& level) {
  char text[64];
  level.Describe(text, sizeof(text));
  return text;
}

StorageLevel Made(int flags, int replication) {
  StorageLevel level;
  EXPECT_TRUE(StorageLevel::Make(flags, replication, &level));
  return level;
}

TEST(StorageLevelTest, DefaultIsNoneAndNotValid) {
  EXPECT_EQ(StorageLevel(), StorageLevel::None());
  EXPECT_FALSE(StorageLevel().IsValid());
  EXPECT_EQ(StorageLevel().replication(), 1);
}

TEST(StorageLevelTest, ValidIffStoredSomewhereAndReplicated) {
  for (int flags = 0; flags < 16; ++flags) {
    const bool somewhere = (flags & (StorageLevel::kDiskFlag | StorageLevel::kMemoryFlag)) != 0;
    EXPECT_EQ(Made(flags, 1).IsValid(), somewhere) << flags;
    EXPECT_FALSE(Made(flags, 0).IsValid()) << flags;
    EXPECT_EQ(Made(flags, 39).flags(), flags);
  }
}

TEST(StorageLevelTest, RefusesReplicationOfFortyAndUnknownFlags) {
  StorageLevel level = StorageLevel::MemoryOnly();
  EXPECT_FALSE(StorageLevel::Make(4, 40, &level));
  EXPECT_FALSE(StorageLevel::Make(4, -1, &level));
  EXPECT_FALSE(StorageLevel::Make(16, 1, &level));
  EXPECT_FALSE(StorageLevel::Make(-1, 1, &level));
  EXPECT_EQ(level, StorageLevel::MemoryOnly());
}

TEST(StorageLevelTest, OffHeapFlagAloneSaysTheMode) {
  for (int flags = 0; flags < 16; ++flags) {
    const bool off_heap = (flags & StorageLevel::kOffHeapFlag) != 0;
    EXPECT_EQ(Made(flags, 1).memory_mode(), off_heap ? MemoryMode::kOffHeap : MemoryMode::kOnHeap);
  }
}

TEST(StorageLevelTest, NamesOfSpark) {
  const struct {
    const char* name;
    int flags;
    int replication;
  } kLevels[] = {{"NONE", 0, 1},
                 {"DISK_ONLY", 8, 1},
                 {"DISK_ONLY_2", 8, 2},
                 {"DISK_ONLY_3", 8, 3},
                 {"MEMORY_ONLY", 5, 1},
                 {"MEMORY_ONLY_2", 5, 2},
                 {"MEMORY_ONLY_SER", 4, 1},
                 {"MEMORY_ONLY_SER_2", 4, 2},
                 {"MEMORY_AND_DISK", 13, 1},
                 {"MEMORY_AND_DISK_2", 13, 2},
                 {"MEMORY_AND_DISK_SER", 12, 1},
                 {"MEMORY_AND_DISK_SER_2", 12, 2},
                 {"OFF_HEAP", 14, 1}};
  for (const auto& each : kLevels) {
    StorageLevel level;
    ASSERT_TRUE(StorageLevel::FromName(each.name, &level)) << each.name;
    EXPECT_EQ(level.flags(), each.flags) << each.name;
    EXPECT_EQ(level.replication(), each.replication) << each.name;
  }
}

TEST(StorageLevelTest, RefusesOtherNames) {
  StorageLevel level = StorageLevel::OffHeap();
  for (const char* name : {"", "memory_only", "MEMORY_ONLY_3", "DISK", " NONE"}) {
    EXPECT_FALSE(StorageLevel::FromName(name, &level)) << name;
  }
  EXPECT_EQ(level, StorageLevel::OffHeap());
}

TEST(StorageLevelTest, ConstantsAreTheNamedOnes) {
  const struct {
    StorageLevel level;
    const char* name;
  } kLevels[] = {{StorageLevel::None(), "NONE"},
                 {StorageLevel::DiskOnly(), "DISK_ONLY"},
                 {StorageLevel::MemoryOnly(), "MEMORY_ONLY"},
                 {StorageLevel::MemoryOnlySer(), "MEMORY_ONLY_SER"},
                 {StorageLevel::MemoryAndDisk(), "MEMORY_AND_DISK"},
                 {StorageLevel::MemoryAndDiskSer(), "MEMORY_AND_DISK_SER"},
                 {StorageLevel::OffHeap(), "OFF_HEAP"}};
  for (const auto& each : kLevels) {
    StorageLevel named;
    ASSERT_TRUE(StorageLevel::FromName(each.name, &named));
    EXPECT_EQ(each.level, named) << each.name;
  }
}

TEST(StorageLevelTest, TextIsSparks) {
  EXPECT_EQ(TextOf(StorageLevel::None()), "Serialized 1x Replicated");
  EXPECT_EQ(TextOf(StorageLevel::MemoryAndDisk()), "Disk Memory Deserialized 1x Replicated");
  EXPECT_EQ(TextOf(StorageLevel::OffHeap()), "Disk Memory (off heap) Serialized 1x Replicated");
  EXPECT_EQ(TextOf(Made(8, 3)), "Disk Serialized 3x Replicated");
}

TEST(StorageLevelTest, TextIsCut) {
  char text[5];
  StorageLevel::MemoryAndDisk().Describe(text, sizeof(text));
  EXPECT_STREQ(text, "Disk");
}

}  // namespace
}  // namespace taskmem
