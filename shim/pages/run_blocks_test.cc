#include "shim/pages/run_blocks.h"

#include <gtest/gtest.h>

#include <vector>

#include "shim/pages/shared_page.h"
#include "shim/pages/shared_pages_testing.h"

namespace taskmem {
namespace {

constexpr uint32_t kBlock = 256;
constexpr uint32_t kMost = 8192 / kBlock;  // that a run of that class holds

class RunBlocksTest : public SharedPagesTest {
 protected:
  RunBlocksTest() : SharedPagesTest(kBlock) {}

  Pair* BeginTaskWithRuns(uint64_t quota_bytes = kNoQuota) {
    Pair* const pair = BeginTask(quota_bytes);
    EXPECT_TRUE(OpenRuns(context_, pair));
    return pair;
  }

  // Fills the pair's run as if it had taken so many blocks before.
  Outcome Fill(Pair* pair, uint16_t taken) {
    pair->runs->taken[bin_] = taken;
    return Refill(context_, pair, bin_, SharedPage(taken < kMost ? taken : kMost),
                  ChargeMode::kWithinQuota);
  }

  void* Take(Pair* pair) {
    void* block = nullptr;
    EXPECT_EQ(TakeFromRun(context_, pair, bin_, kBlock, false, ChargeMode::kWithinQuota, &block),
              Outcome::kDone);
    return block;
  }

  // As free() does for a block whose run has room: it stays marked, and charged.
  static void GiveToRun(mi_page_t* run, void* block) {
    auto* const free_block = static_cast<mi_block_t*>(block);
    mi_block_set_next(run, free_block, run->local_free);
    run->local_free = free_block;
    --run->used;
  }

  // Nothing is left of the pair.
  void Close(Pair* pair, const std::vector<void*>& blocks) {
    CloseRuns(context_, pair);
    EXPECT_EQ(Charged(pair), blocks.size() * kBlock) << "what lives";
    for (void* block : blocks) Free(block);
    EXPECT_EQ(Charged(pair), 0u);
  }

  mi_page_t* RunOf(Pair* pair) const { return &pair->runs->run[bin_]; }

  static bool IsOf(const Pair* pair, void* block) {
    return OwnersOf(_mi_ptr_page(block))->MarkAt(block).load() == pair->slot + 1;
  }
};

TEST_F(RunBlocksTest, BlocksAreChargedAndMarkedWhenTheRunIsFilled) {
  Pair* const pair = BeginTaskWithRuns();
  ASSERT_EQ(Fill(pair, 4), Outcome::kDone);
  EXPECT_EQ(Charged(pair), 4 * kBlock);
  EXPECT_EQ(BlocksIn(*RunOf(pair)), 4);
  EXPECT_EQ(pair->runs->taken[bin_], 8) << "twice as many the next time";
  std::vector<void*> blocks;
  while (RunOf(pair)->free != nullptr) blocks.push_back(Take(pair));
  EXPECT_EQ(blocks.size(), 4u);
  for (void* block : blocks) EXPECT_TRUE(IsOf(pair, block));
  EXPECT_EQ(BlocksIn(*RunOf(pair)), 0);
  EXPECT_EQ(Charged(pair), 4 * kBlock) << "nothing changes as they are used";
  Close(pair, blocks);
}

TEST_F(RunBlocksTest, NoMoreThanSoManyBytesAreTakenAhead) {
  Pair* const pair = BeginTaskWithRuns();
  ASSERT_EQ(Fill(pair, UINT16_MAX), Outcome::kDone);
  EXPECT_EQ(Charged(pair), kMost * kBlock);
  EXPECT_EQ(BlocksIn(*RunOf(pair)), static_cast<int32_t>(kMost));
  EXPECT_EQ(pair->runs->taken[bin_], UINT16_MAX);
  Close(pair, {});
}

TEST_F(RunBlocksTest, WhatWasChargedAndIsNotThereIsCredited) {
  Pair* const pair = BeginTaskWithRuns();
  mi_page_t* const page = SharedPage(4);
  Pair* const other = BeginTask();
  std::vector<void*> others;
  while (page->capacity - page->used > 3) others.push_back(TakeShared(other, page));
  pair->runs->taken[bin_] = 8;
  ASSERT_EQ(Refill(context_, pair, bin_, page, ChargeMode::kWithinQuota), Outcome::kDone);
  EXPECT_EQ(BlocksIn(*RunOf(pair)), 3);
  EXPECT_EQ(Charged(pair), 3 * kBlock);
  Close(pair, {});
  for (void* block : others) Free(block);
}

TEST_F(RunBlocksTest, OverTheQuotaNothingIsTaken) {
  Pair* const pair = BeginTaskWithRuns(kBlock - 1);
  EXPECT_EQ(Fill(pair, 4), Outcome::kOverQuota);
  EXPECT_EQ(Charged(pair), 0u);
  EXPECT_EQ(BlocksIn(*RunOf(pair)), 0);
  Close(pair, {});
}

TEST_F(RunBlocksTest, EmptiedItsBlocksAreNobodys) {
  Pair* const pair = BeginTaskWithRuns();
  ASSERT_EQ(Fill(pair, 4), Outcome::kDone);
  void* const lives = Take(pair);
  void* const freed = Take(pair);
  GiveToRun(RunOf(pair), freed);
  EmptyRuns(pair);
  EXPECT_EQ(Charged(pair), kBlock);
  EXPECT_TRUE(IsOf(pair, lives));
  EXPECT_FALSE(IsOf(pair, freed));
  EXPECT_EQ(RunOf(pair)->free, nullptr);
  EXPECT_EQ(RunOf(pair)->local_free, nullptr);
  EXPECT_EQ(pair->runs->taken[bin_], 0);
  EmptyRuns(pair);
  Close(pair, {lives});
}

TEST_F(RunBlocksTest, AFullRunGivesHalfOfItsBlocksBack) {
  Pair* const pair = BeginTaskWithRuns();
  ASSERT_EQ(Fill(pair, 8), Outcome::kDone);
  std::vector<void*> blocks;
  while (RunOf(pair)->free != nullptr) blocks.push_back(Take(pair));
  ASSERT_EQ(blocks.size(), 8u);
  EXPECT_EQ(RunOf(pair)->reserved, 2 * pair->runs->taken[bin_]) << "so many stay free in it";
  RunOf(pair)->reserved = 4;
  for (int i = 0; i < 4; ++i) {
    MakeRoomInRun(_mi_ptr_page(blocks.back()), blocks.back());
    GiveToRun(RunOf(pair), blocks.back());
    blocks.pop_back();
  }
  EXPECT_EQ(BlocksIn(*RunOf(pair)), 4) << "there was room";
  EXPECT_EQ(Charged(pair), 8 * kBlock);
  MakeRoomInRun(_mi_ptr_page(blocks.back()), blocks.back());
  EXPECT_EQ(BlocksIn(*RunOf(pair)), 1);
  EXPECT_EQ(Charged(pair), 5 * kBlock);
  Close(pair, blocks);
}

TEST_F(RunBlocksTest, RunsAreFoundByTheMarksOfTheirBlocks) {
  constexpr uint32_t kPairs = 20;
  const uint32_t before = context_->runs.count;
  std::vector<Pair*> pairs;
  for (uint32_t i = 0; i < kPairs; ++i) {
    pairs.push_back(BeginTaskWithRuns());
    ASSERT_EQ(Fill(pairs.back(), 2), Outcome::kDone);
  }
  EXPECT_EQ(context_->runs.count, before + kPairs);
  EXPECT_GT(context_->runs.mask + 1, RunsTable::kFew) << "the table has grown";
  for (const Pair* pair : pairs) EXPECT_EQ(context_->runs.Find(pair->slot + 1), pair->runs);
  for (Pair* pair : pairs) {
    Close(pair, {});
    EXPECT_EQ(context_->runs.Find(pair->slot + 1), nullptr);
  }
  EXPECT_EQ(context_->runs.count, before);
}

TEST_F(RunBlocksTest, TheNextPairGetsTheRunsOfOneThatIsGone) {
  Close(BeginTaskWithRuns(), {});
  const Runs* const spare = context_->spare_runs;
  ASSERT_NE(spare, nullptr);
  Pair* const next = BeginTaskWithRuns();
  EXPECT_EQ(next->runs, spare);
  EXPECT_EQ(next->runs->mark, next->slot + 1);
  Close(next, {});
}

}  // namespace
}  // namespace taskmem
