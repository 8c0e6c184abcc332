#include "shim/pages/lease.h"

#include <gtest/gtest.h>

#include <vector>

#include "shim/mimalloc/hot.h"
#include "shim/pages/shared_pages_testing.h"

namespace taskmem {
namespace {

constexpr uint32_t kBlock = 512;
constexpr uint32_t kStep = 16;  // blocks of that size that are paid for at a time

class LeaseTest : public SharedPagesTest {
 protected:
  LeaseTest() : SharedPagesTest(kBlock) {}

  Pair* BeginTaskWithHeap(uint64_t quota_bytes = kNoQuota) {
    Pair* const pair = BeginTask(quota_bytes);
    EXPECT_TRUE(MakeHeap(context_, pair));
    return pair;
  }

  bool LeaseFor(Pair* pair, mi_page_t* page) {
    return Lease(context_, pair, bin_, page, ChargeMode::kWithinQuota);
  }

  // As malloc does, while the page has something for it.
  static void* Pop(Pair* pair, mi_page_t* page) {
    EXPECT_NE(page->free, nullptr);
    return PopBlock(pair->heap, page, kBlock, false);
  }
  static std::vector<void*> PopAll(Pair* pair, mi_page_t* page) {
    std::vector<void*> blocks;
    while (page->free != nullptr) blocks.push_back(Pop(pair, page));
    return blocks;
  }

  // As who gives up the pair's heap.
  void End(Pair* pair, mi_page_t* page) {
    UnqueuePage(QueueOf(page), page);
    mi_page_set_heap(page, &context_->shared.heap);
    QueuePage(&context_->shared.heap, &context_->shared.heap.pages[bin_], page);
    Credit(pair->slot, Unlease(&context_->shared, page));
    EXPECT_FALSE(IsLeased(page));
  }

  // Nothing is left of the pair.
  void EndAndFree(Pair* pair, mi_page_t* page, const std::vector<void*>& blocks) {
    End(pair, page);
    EXPECT_EQ(Charged(pair), blocks.size() * kBlock) << "what lives";
    for (void* block : blocks) Free(block);
    EXPECT_EQ(Charged(pair), 0u);
  }
};

TEST_F(LeaseTest, AStepIsPaidForAndTheOthersArePutAside) {
  mi_page_t* const page = SharedPage(2 * kStep);
  Pair* const pair = BeginTaskWithHeap();
  ASSERT_TRUE(LeaseFor(pair, page));
  EXPECT_TRUE(IsLeased(page));
  EXPECT_EQ(Charged(pair), kStep * kBlock);
  EXPECT_EQ(Length(page, page->free), kStep);
  EXPECT_EQ(pair->heap->pages[bin_].first, page) << "like a page of its own";
  std::vector<void*> blocks = PopAll(pair, page);
  for (void* block : blocks) EXPECT_EQ(OwnersOf(page)->MarkAt(block), kLesseeMark);
  CollectOwnPage(page);
  EXPECT_EQ(Length(page, page->free), kStep) << "the next step";
  EXPECT_EQ(Charged(pair), 2 * kStep * kBlock);
  EndAndFree(pair, page, blocks);
}

TEST_F(LeaseTest, WhatLivesAfterwardsBearsTheTasksOwnMark) {
  mi_page_t* const page = SharedPage(kStep);
  const uint32_t free_blocks = FreeBlocks(page);
  Pair* const pair = BeginTaskWithHeap();
  ASSERT_TRUE(LeaseFor(pair, page));
  void* const block = Pop(pair, page);
  End(pair, page);
  EXPECT_EQ(Charged(pair), kBlock);
  EXPECT_EQ(OwnersOf(page)->MarkAt(block), pair->slot + 1);
  EXPECT_EQ(Length(page, page->free), free_blocks - 1);
  Free(block);
  EXPECT_EQ(Charged(pair), 0u);
}

TEST_F(LeaseTest, NearItsQuotaATaskPaysForOneBlock) {
  mi_page_t* const page = SharedPage(kStep);
  Pair* const poor = BeginTaskWithHeap(kBlock - 1);
  EXPECT_FALSE(LeaseFor(poor, page));
  EXPECT_FALSE(IsLeased(page));
  EXPECT_EQ(Charged(poor), 0u);
  Pair* const pair = BeginTaskWithHeap(2 * kBlock);
  ASSERT_TRUE(LeaseFor(pair, page));
  EXPECT_EQ(Charged(pair), kBlock);
  void* const first = Pop(pair, page);
  EXPECT_EQ(page->free, nullptr);
  TakeFromAside(page);
  void* const second = Pop(pair, page);
  TakeFromAside(page);
  EXPECT_EQ(page->free, nullptr) << "over the quota";
  EndAndFree(pair, page, {first, second});
}

TEST_F(LeaseTest, BlocksOfOthersArePaidForWhenTheyBecomeFree) {
  mi_page_t* const page = SharedPage(kStep);
  Pair* const other = BeginTask();
  void* const others = TakeShared(other, page);
  Pair* const pair = BeginTaskWithHeap();
  ASSERT_TRUE(LeaseFor(pair, page));
  EXPECT_EQ(OwnersOf(page)->MarkAt(others), other->slot + 1);
  Free(others);
  EXPECT_EQ(Charged(other), 0u);
  const std::vector<void*> blocks = PopAll(pair, page);
  const uint64_t charged = Charged(pair);
  CollectOwnPage(page);
  EXPECT_EQ(page->free, others);
  EXPECT_EQ(Charged(pair), charged + kBlock);
  EXPECT_EQ(OwnersOf(page)->MarkAt(others), kLesseeMark);
  EndAndFree(pair, page, blocks);
}

TEST_F(LeaseTest, WhatCannotBePaidForIsNotGivenToMalloc) {
  mi_page_t* const page = SharedPage(kStep);
  Pair* const other = BeginTask();
  void* const others = TakeShared(other, page);
  Pair* const pair = BeginTaskWithHeap();
  ASSERT_TRUE(LeaseFor(pair, page));
  const std::vector<void*> blocks = PopAll(pair, page);
  std::atomic<uint64_t>& quota = g_books[pair->slot].quota_bytes;
  quota = Charged(pair);
  Free(others);
  CollectOwnPage(page);
  EXPECT_EQ(page->free, nullptr);
  EXPECT_EQ(OwnersOf(page)->aside, others);
  quota = kNoQuota;
  CollectOwnPage(page);
  EXPECT_EQ(page->free, others);
  EndAndFree(pair, page, blocks);
}

TEST_F(LeaseTest, TrimmedItHasNothingForMalloc) {
  mi_page_t* const page = SharedPage(2 * kStep);
  const uint32_t free_blocks = FreeBlocks(page);
  Pair* const pair = BeginTaskWithHeap();
  ASSERT_TRUE(LeaseFor(pair, page));
  void* const block = Pop(pair, page);
  TrimLease(page);
  EXPECT_EQ(Charged(pair), kBlock);
  EXPECT_EQ(page->free, nullptr);
  EXPECT_EQ(OwnersOf(page)->aside_blocks, free_blocks - 1);
  TakeFromAside(page);
  EXPECT_EQ(Length(page, page->free), kStep);
  EndAndFree(pair, page, {block});
}

}  // namespace
}  // namespace taskmem
