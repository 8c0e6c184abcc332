#include "accounting/pools/storage_memory_pool.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

class StorageMemoryPoolTest : public testing::Test {
 protected:
  StorageMemoryPoolTest() { pool_.IncrementPoolSize(100); }
  StorageMemoryPool pool_{MemoryMode::kOnHeap};
};

TEST_F(StorageMemoryPoolTest, Store3IsAllOrNothing) {
  EXPECT_TRUE(pool_.Acquire(60));
  EXPECT_FALSE(pool_.Acquire(41));
  EXPECT_EQ(pool_.used(), 60);
  EXPECT_TRUE(pool_.Acquire(40));
  EXPECT_EQ(pool_.free(), 0);
}

TEST_F(StorageMemoryPoolTest, Store3GrantsNothingAlways) {
  EXPECT_TRUE(pool_.Acquire(100));
  EXPECT_TRUE(pool_.Acquire(0));
  StorageMemoryPool empty(MemoryMode::kOffHeap);
  EXPECT_TRUE(empty.Acquire(0));
  EXPECT_FALSE(empty.Acquire(1));
  EXPECT_FALSE(empty.Acquire(INT64_MAX));
}

TEST_F(StorageMemoryPoolTest, Store4ReleasesWhatIsUsedAtMost) {
  pool_.Acquire(60);
  EXPECT_EQ(pool_.Release(20), 20);
  EXPECT_EQ(pool_.used(), 40);
  EXPECT_EQ(pool_.Release(41), 40);
  EXPECT_EQ(pool_.used(), 0);
  EXPECT_EQ(pool_.Release(1), 0);
  EXPECT_EQ(pool_.Release(0), 0);
}

TEST_F(StorageMemoryPoolTest, Store4KeepsItsSize) {
  pool_.Acquire(60);
  pool_.Release(INT64_MAX);
  EXPECT_EQ(pool_.size(), 100);
  EXPECT_EQ(pool_.free(), 100);
}

}  // namespace
}  // namespace taskmem
