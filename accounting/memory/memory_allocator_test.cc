#include "accounting/memory/memory_allocator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// malloc, counted, and with an end.
class CountedMemory {
 public:
  MemoryAllocator::Options Options(bool debug_fill = false) {
    MemoryAllocator::Options options;
    options.debug_fill = debug_fill;
    options.source = {
        [](size_t bytes, void* self) { return static_cast<CountedMemory*>(self)->Allocate(bytes); },
        [](void* address, void* self) { static_cast<CountedMemory*>(self)->Free(address); }, this};
    return options;
  }

  std::atomic<size_t> last_bytes{0};
  std::atomic<int> live{0};
  std::atomic<int> max_live{1'000'000};

 private:
  void* Allocate(size_t bytes) {
    last_bytes = bytes;
    if (++live > max_live) {
      --live;
      return nullptr;
    }
    return bytes > size_t{1} << 40 ? (--live, nullptr) : malloc(bytes);
  }
  void Free(void* address) {
    --live;
    free(address);
  }
};

MemoryBlock Block(Result<MemoryBlock> result) {
  EXPECT_TRUE(result.ok());
  return *result;
}

bool IsFilledWith(const char* memory, size_t bytes, uint8_t value) {
  for (size_t i = 0; i < bytes; ++i) {
    if (static_cast<uint8_t>(memory[i]) != value) return false;
  }
  return true;
}

// The allocators have no type information, which GoogleTest asks for.
struct Heap {
  using Allocator = HeapMemoryAllocator;
  static constexpr bool kIsHeap = true;
};
struct Unsafe {
  using Allocator = UnsafeMemoryAllocator;
  static constexpr bool kIsHeap = false;
};

template <typename Kind>
class BothAllocatorsTest : public testing::Test {
 protected:
  using Allocator = typename Kind::Allocator;
  static constexpr bool kIsHeap = Kind::kIsHeap;
  CountedMemory memory_;
  Allocator allocator_{memory_.Options()};
};

using Kinds = testing::Types<Heap, Unsafe>;
TYPED_TEST_SUITE(BothAllocatorsTest, Kinds);

TYPED_TEST(BothAllocatorsTest, ABlockIsAsLargeAsAskedForAndNoTasks) {
  MemoryBlock block = Block(this->allocator_.Allocate(13));
  EXPECT_EQ(block.size, 13);
  EXPECT_EQ(block.mode, TestFixture::kIsHeap ? MemoryMode::kOnHeap : MemoryMode::kOffHeap);
  EXPECT_EQ(block.page_number, MemoryBlock::kNoPageNumber);
  EXPECT_EQ(this->memory_.last_bytes, TestFixture::kIsHeap ? 16u : 13u) << "ALLOC-2, ALLOC-3";
  memset(block.base, 1, 13);
  EXPECT_FALSE(this->allocator_.Free(block));
  EXPECT_EQ(block.page_number, MemoryBlock::kFreedInAllocator);
  EXPECT_EQ(block.base, nullptr);
  EXPECT_EQ(this->memory_.live, 0);
}

TYPED_TEST(BothAllocatorsTest, ABlockOfNoBytesIsABlock) {
  MemoryBlock block = Block(this->allocator_.Allocate(0));
  EXPECT_TRUE(block);
  EXPECT_EQ(block.size, 0);
  EXPECT_FALSE(this->allocator_.Free(block));
  EXPECT_EQ(this->memory_.live, 0);
}

TYPED_TEST(BothAllocatorsTest, RefusesNegativeSizes) {
  EXPECT_EQ(this->allocator_.Allocate(-1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(this->allocator_.Allocate(INT64_MIN).error().code, ErrorCode::kInvalidArgument);
}

TYPED_TEST(BothAllocatorsTest, NoMemoryIsAnError) {
  for (const int64_t bytes : {INT64_MAX, INT64_MAX - 3, INT64_MAX - 7}) {
    const Result<MemoryBlock> block = this->allocator_.Allocate(bytes);
    EXPECT_EQ(block.error().code, ErrorCode::kNoPhysicalMemory);
    EXPECT_EQ(block.error().requested, bytes);
  }
  this->memory_.max_live = 0;
  EXPECT_EQ(this->allocator_.Allocate(8).error().code, ErrorCode::kNoPhysicalMemory);
}

TYPED_TEST(BothAllocatorsTest, ABlockIsFreedOnce) {
  MemoryBlock block = Block(this->allocator_.Allocate(8));
  EXPECT_FALSE(this->allocator_.Free(block));
  EXPECT_EQ(this->allocator_.Free(block).code,
            TestFixture::kIsHeap ? ErrorCode::kWrongAllocator : ErrorCode::kDoubleFree);
  EXPECT_EQ(this->memory_.live, 0);
}

TYPED_TEST(BothAllocatorsTest, RefusesALivePage) {
  MemoryBlock block = Block(this->allocator_.Allocate(8));
  block.page_number = 0;
  EXPECT_EQ(this->allocator_.Free(block).code, ErrorCode::kTaskPage);
  EXPECT_NE(block.base, nullptr);
  block.page_number = MemoryBlock::kFreedInManager;
  EXPECT_FALSE(this->allocator_.Free(block));
}

TYPED_TEST(BothAllocatorsTest, RefusesABlockOfTheOtherMode) {
  MemoryBlock block = Block(this->allocator_.Allocate(8));
  MemoryBlock other = block;
  other.mode = TestFixture::kIsHeap ? MemoryMode::kOffHeap : MemoryMode::kOnHeap;
  EXPECT_EQ(this->allocator_.Free(other).code, ErrorCode::kWrongAllocator);
  EXPECT_FALSE(this->allocator_.Free(block));
}

TYPED_TEST(BothAllocatorsTest, RefusesNoBlock) {
  MemoryBlock none;
  EXPECT_EQ(this->allocator_.Free(none).code,
            TestFixture::kIsHeap ? ErrorCode::kWrongAllocator : ErrorCode::kInvalidArgument);
}

TYPED_TEST(BothAllocatorsTest, FillsForDebugging) {
  struct Kept {
    std::vector<char> memory = std::vector<char>(64);
    bool is_freed = false;
  } kept;
  MemoryAllocator::Options options;
  options.debug_fill = true;
  options.source = {
      [](size_t, void* self) -> void* { return static_cast<Kept*>(self)->memory.data(); },
      [](void*, void* self) { static_cast<Kept*>(self)->is_freed = true; }, &kept};
  typename TestFixture::Allocator allocator(options);
  MemoryBlock block = Block(allocator.Allocate(50));
  EXPECT_TRUE(IsFilledWith(kept.memory.data(), 50, 0xa5));
  EXPECT_TRUE(IsFilledWith(kept.memory.data() + 56, 8, 0)) << "not beyond";
  EXPECT_FALSE(allocator.Free(block));
  EXPECT_TRUE(IsFilledWith(kept.memory.data(), 50, 0x5a));
  EXPECT_TRUE(kept.is_freed);
}

class HeapPoolTest : public testing::Test {
 protected:
  // Allocates and frees.
  char* Churn(int64_t bytes) {
    MemoryBlock block = Block(allocator_.Allocate(bytes));
    char* const base = block.base;
    EXPECT_FALSE(allocator_.Free(block));
    return base;
  }

  CountedMemory memory_;
  HeapMemoryAllocator allocator_{memory_.Options()};
};

TEST_F(HeapPoolTest, KeepsLargeBlocksByTheirRoundedSize) {
  char* const base = Churn(kMiB);
  EXPECT_EQ(memory_.live, 1);
  MemoryBlock other = Block(allocator_.Allocate(kMiB + 8));
  EXPECT_NE(other.base, base);
  MemoryBlock same = Block(allocator_.Allocate(kMiB - 7));
  EXPECT_EQ(same.base, base) << "it rounds to the same size";
  EXPECT_EQ(same.size, kMiB - 7);
  EXPECT_EQ(memory_.live, 2);
  EXPECT_FALSE(allocator_.Free(same));
  EXPECT_FALSE(allocator_.Free(other));
}

TEST_F(HeapPoolTest, ContentsStay) {
  MemoryBlock block = Block(allocator_.Allocate(kMiB));
  block.base[5] = 'x';
  EXPECT_FALSE(allocator_.Free(block));
  block = Block(allocator_.Allocate(kMiB));
  EXPECT_EQ(block.base[5], 'x');
  EXPECT_FALSE(allocator_.Free(block));
}

TEST_F(HeapPoolTest, DoesNotKeepSmallOrVeryLargeBlocks) {
  Churn(kMiB - 8);
  EXPECT_EQ(memory_.live, 0);
  Churn(HeapMemoryAllocator::kMaxPooledBytes + 1);
  EXPECT_EQ(memory_.live, 0);
}

TEST_F(HeapPoolTest, IsBoundedInNumber) {
  for (int i = 0; i < 20; ++i) Churn(kMiB + 8 * i);
  EXPECT_EQ(memory_.live, HeapMemoryAllocator::kMaxPooledBuffers);
  MemoryBlock newest = Block(allocator_.Allocate(kMiB + 8 * 19));
  EXPECT_EQ(memory_.live, HeapMemoryAllocator::kMaxPooledBuffers) << "the newest stayed";
  EXPECT_FALSE(allocator_.Free(newest));
}

TEST_F(HeapPoolTest, IsBoundedInBytes) {
  for (int i = 0; i < 5; ++i) Churn(20 * kMiB + 8 * i);
  EXPECT_EQ(memory_.live, 3);
  Churn(HeapMemoryAllocator::kMaxPooledBytes);
  EXPECT_EQ(memory_.live, 1);
}

TEST_F(HeapPoolTest, IsGivenUpBeforeAnAllocationFails) {
  Churn(2 * kMiB);
  Churn(3 * kMiB);
  memory_.max_live = 2;
  MemoryBlock block = Block(allocator_.Allocate(100));
  EXPECT_EQ(memory_.live, 1);
  EXPECT_FALSE(allocator_.Free(block));
}

TEST_F(HeapPoolTest, GoesWithItsAllocator) {
  {
    HeapMemoryAllocator allocator(memory_.Options());
    MemoryBlock block = Block(allocator.Allocate(kMiB));
    EXPECT_FALSE(allocator.Free(block));
    EXPECT_EQ(memory_.live, 1);
  }
  EXPECT_EQ(memory_.live, 0);
}

TEST_F(HeapPoolTest, ThreadsNeverGetTheSameBuffer) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int round = 0; round < 500; ++round) {
        MemoryBlock block = Block(allocator_.Allocate(kMiB));
        block.base[0] = static_cast<char>(i);
        block.base[kMiB - 1] = static_cast<char>(i);
        EXPECT_EQ(block.base[0], i);
        EXPECT_EQ(block.base[kMiB - 1], i);
        EXPECT_FALSE(allocator_.Free(block));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(allocator_.EmptyPool());
  EXPECT_FALSE(allocator_.EmptyPool());
  EXPECT_EQ(memory_.live, 0);
}

}  // namespace
}  // namespace taskmem
