#include "accounting/pools/memory_pool.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

class Pool : public MemoryPool {
 public:
  using MemoryPool::MemoryPool;
  void Use(int64_t bytes) { used_ += bytes; }
};

TEST(MemoryPool, StartsEmpty) {
  const Pool pool(MemoryMode::kOffHeap);
  EXPECT_EQ(pool.mode(), MemoryMode::kOffHeap);
  EXPECT_EQ(pool.size(), 0);
  EXPECT_EQ(pool.used(), 0);
  EXPECT_EQ(pool.free(), 0);
}

TEST(MemoryPool, FreeIsWhatIsNotUsed) {
  Pool pool(MemoryMode::kOnHeap);
  EXPECT_TRUE(pool.IncrementPoolSize(1000));
  pool.Use(300);
  EXPECT_EQ(pool.size(), 1000);
  EXPECT_EQ(pool.used(), 300);
  EXPECT_EQ(pool.free(), 700);
}

TEST(MemoryPool, Pool2ShrinksByWhatIsFree) {
  Pool pool(MemoryMode::kOnHeap);
  pool.IncrementPoolSize(1000);
  pool.Use(300);
  EXPECT_FALSE(pool.DecrementPoolSize(701));
  EXPECT_EQ(pool.size(), 1000);
  EXPECT_TRUE(pool.DecrementPoolSize(700));
  EXPECT_EQ(pool.size(), 300);
  EXPECT_FALSE(pool.DecrementPoolSize(1));
  EXPECT_TRUE(pool.DecrementPoolSize(0));
  pool.Use(-300);
  EXPECT_TRUE(pool.DecrementPoolSize(300));
  EXPECT_EQ(pool.size(), 0);
}

TEST(MemoryPool, Pool2RefusesNegativeChanges) {
  Pool pool(MemoryMode::kOnHeap);
  pool.IncrementPoolSize(10);
  EXPECT_FALSE(pool.IncrementPoolSize(-1));
  EXPECT_FALSE(pool.DecrementPoolSize(-1));
  EXPECT_FALSE(pool.IncrementPoolSize(INT64_MIN));
  EXPECT_FALSE(pool.DecrementPoolSize(INT64_MIN));
  EXPECT_EQ(pool.size(), 10);
}

TEST(MemoryPool, DoesNotOverflow) {
  Pool pool(MemoryMode::kOnHeap);
  EXPECT_TRUE(pool.IncrementPoolSize(INT64_MAX));
  EXPECT_FALSE(pool.IncrementPoolSize(1));
  EXPECT_TRUE(pool.IncrementPoolSize(0));
  EXPECT_EQ(pool.size(), INT64_MAX);
  EXPECT_TRUE(pool.DecrementPoolSize(INT64_MAX));
}

}  // namespace
}  // namespace taskmem
