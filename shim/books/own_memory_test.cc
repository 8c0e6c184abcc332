#include "shim/books/own_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

bool IsZero(const void* memory, size_t bytes) {
  const auto* at = static_cast<const char*>(memory);
  return std::all_of(at, at + bytes, [](char c) { return c == 0; });
}

TEST(OwnMemory, IsZeroedAndAligned) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64}, size_t{65}, size_t{4097}, kMiB - 1,
                             kMiB, kMiB + 1, 5 * kMiB}) {
    for (int i = 0; i < 3; ++i) {
      void* memory = OwnAllocate(bytes);
      ASSERT_NE(memory, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 64, 0u) << bytes;
      EXPECT_TRUE(IsZero(memory, bytes)) << bytes;
      memset(memory, 0xff, bytes);
    }
  }
}

TEST(OwnMemory, BlocksDoNotOverlap) {
  // So many that several chunks are needed.
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t i = 0; i < 2000; ++i) {
    const size_t bytes = i * 37 % 3000 + 1;
    auto* memory = static_cast<char*>(OwnAllocate(bytes));
    ASSERT_NE(memory, nullptr);
    blocks.emplace_back(memory, bytes);
  }
  std::sort(blocks.begin(), blocks.end());
  for (size_t i = 1; i < blocks.size(); ++i) {
    EXPECT_LE(blocks[i - 1].first + blocks[i - 1].second, blocks[i].first);
  }
  for (const auto& [memory, bytes] : blocks) OwnFree(memory, bytes);
}

TEST(OwnMemory, IsReusedAndCleared) {
  void* memory = OwnAllocate(3000);
  memset(memory, 0xff, 3000);
  OwnFree(memory, 3000);
  void* again = OwnAllocate(4000);  // of the same class
  EXPECT_EQ(again, memory);
  EXPECT_TRUE(IsZero(again, 4000));
  OwnFree(again, 4000);
}

TEST(OwnMemory, WhatItsUserClearedIsReusedFirst) {
  void* dirty = OwnAllocate(700);
  void* clean = OwnAllocate(700);
  memset(dirty, 0xff, 700);
  OwnFree(clean, 700, /*is_zero=*/true);
  OwnFree(dirty, 700);
  void* again = OwnAllocate(700);
  EXPECT_EQ(again, clean);
  EXPECT_TRUE(IsZero(again, 700)) << "the link of the free list is gone";
  EXPECT_EQ(OwnAllocate(700), dirty);
  OwnFree(clean, 700, /*is_zero=*/true);
  OwnFree(dirty, 700);
}

TEST(OwnMemory, CanBeReadAfterItWasFreed) {
  for (const size_t bytes : {size_t{64}, kMiB, 3 * kMiB}) {
    auto* memory = static_cast<char*>(OwnAllocate(bytes));
    memset(memory, 0xff, bytes);
    OwnFree(memory, bytes);
    const volatile char* stale = memory;
    for (size_t i = 0; i < bytes; i += 4096) (void)stale[i];
  }
}

TEST(OwnMemory, ALargeBlockGivesItsPagesBack) {
  auto* memory = static_cast<char*>(OwnAllocate(3 * kMiB));
  memset(memory, 0xff, 3 * kMiB);
  OwnFree(memory, 3 * kMiB);
  EXPECT_TRUE(IsZero(memory, 3 * kMiB));
}

TEST(OwnMemory, MoreThanThereIsIsNullptr) {
  EXPECT_EQ(OwnAllocate(SIZE_MAX / 2), nullptr);
  EXPECT_EQ(OwnAllocate(SIZE_MAX), nullptr);
}

TEST(OwnMemory, ThreadsDoNotShareBlocks) {
  constexpr int kThreads = 4;
  constexpr size_t kRounds = 3000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([i] {
      std::vector<std::pair<char*, size_t>> held;
      for (size_t round = 0; round < kRounds; ++round) {
        const size_t bytes = 8 + round * 61 % 500;
        auto* memory = static_cast<char*>(OwnAllocate(bytes));
        if (!IsZero(memory, bytes)) ADD_FAILURE() << bytes;
        memset(memory, i + 1, bytes);
        held.emplace_back(memory, bytes);
        if (round % 3 != 2) continue;
        const auto [old, old_bytes] = held[round % held.size()];
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(round % held.size()));
        if (old[0] != i + 1 || old[old_bytes - 1] != i + 1) ADD_FAILURE() << old_bytes;
        const bool clear = round % 2 == 0;
        if (clear) memset(old, 0, old_bytes);
        OwnFree(old, old_bytes, clear);
      }
      for (const auto& [memory, bytes] : held) OwnFree(memory, bytes);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace taskmem
