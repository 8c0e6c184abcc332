#include "shim/segments/held_pages.h"

#include <gtest/gtest.h>

#include "shim/contexts/allocator_testing.h"
#include "shim/segments/page_memory.h"
#include "shim/segments/slack.h"

namespace taskmem {
namespace {

constexpr size_t kSliceBytes = MI_SEGMENT_SLICE_SIZE;
constexpr size_t kLarge = MI_MEDIUM_OBJ_SIZE_MAX + 1;  // has a page for itself
constexpr size_t kMedium = 4096;

class HeldPagesTest : public AllocatorTest {
 protected:
  // Keeps the segment in the context.
  HeldPagesTest() : stays_(Take(kMedium)) {}
  ~HeldPagesTest() override {
    PurgeContext(context_, /*force=*/true);
    EXPECT_EQ(Slack(), 0);
    GivePageMemory(stays_, false, &context_->tld.segments);
  }

  // As one that was in use, for blocks of that size.
  mi_page_t* Take(size_t bytes) {
    mi_page_t* const page = TakePageMemory(&context_->shared.heap, bytes, 0);
    if (page != nullptr) page->xblock_size = static_cast<uint32_t>(bytes);
    return page;
  }
  mi_page_t* TakeSmall(size_t block_size) {
    mi_page_t* const page = TakeSmallPageMemory(&context_->shared.heap, block_size);
    if (page != nullptr) page->xblock_size = static_cast<uint32_t>(block_size);
    return page;
  }
  void Give(mi_page_t* page) { GivePageMemory(page, false, &context_->tld.segments); }
  int64_t Slack() const { return context_->slack_bytes; }

  mi_page_t* const stays_;
};

TEST_F(HeldPagesTest, APageThatFitsExactlyIsTakenAgain) {
  mi_page_t* const page = Take(kLarge);
  const int64_t before = Slack();
  const auto bytes = static_cast<int64_t>(page->slice_count * kSliceBytes);
  ASSERT_TRUE(HoldPage(page));
  EXPECT_EQ(Slack(), before + bytes) << "it is free, and in memory";
  EXPECT_EQ(page->xblock_size, 1u) << "as mimalloc clears it";
  EXPECT_EQ(TakeHeldPage(context_, 2 * kLarge), nullptr);
  EXPECT_EQ(TakeHeldPage(context_, kMedium), nullptr);
  EXPECT_EQ(TakeHeldPage(context_, kLarge), page);
  EXPECT_EQ(Slack(), before);
  EXPECT_EQ(TakeHeldPage(context_, kLarge), nullptr);
  Give(page);
}

TEST_F(HeldPagesTest, TheOldestGoesForTheNext) {
  mi_page_t* pages[kHeldPages + 1];
  for (mi_page_t*& page : pages) page = Take(kLarge);
  for (mi_page_t* page : pages) ASSERT_TRUE(HoldPage(page));
  uint32_t found = 0;
  while (mi_page_t* const page = TakeHeldPage(context_, kLarge)) {
    EXPECT_NE(page, pages[0]);
    Give(page);
    ++found;
  }
  EXPECT_EQ(found, kHeldPages);
}

TEST_F(HeldPagesTest, LetGoTheyAreOutOfMemory) {
  mi_page_t* const page = Take(kLarge);
  mi_page_t* const medium = Take(kMedium);
  const int64_t before = Slack();
  ASSERT_TRUE(HoldPage(page));
  ASSERT_TRUE(HoldSmallPage(medium, kMedium));
  LetHeldPagesGo(context_);
  EXPECT_EQ(Slack(), before);
  EXPECT_EQ(TakeHeldPage(context_, kLarge), nullptr);
  EXPECT_EQ(HeldSmallBytes(context_), 0u);
}

TEST_F(HeldPagesTest, VeryLargePagesAreNotHeld) {
  mi_page_t* const page = Take(size_t{2} << 20);
  EXPECT_FALSE(HoldPage(page));
  Give(page);
}

TEST_F(HeldPagesTest, OfMediumBlocksTheLastIsTakenFirst) {
  EXPECT_FALSE(HoldsSmallPage(&context_->shared.heap, kMedium));
  EXPECT_EQ(HeldSmallBytes(context_), 0u);
  mi_page_t* const first = Take(kMedium);
  mi_page_t* const second = Take(2 * kMedium);
  ASSERT_TRUE(HoldSmallPage(first, 100));
  ASSERT_TRUE(HoldSmallPage(second, 200));
  EXPECT_TRUE(HoldsSmallPage(&context_->shared.heap, kMedium));
  EXPECT_EQ(HeldSmallBytes(context_), 200u);
  EXPECT_EQ(TakeSmall(kMedium), second) << "whatever size its blocks had";
  EXPECT_EQ(HeldSmallBytes(context_), 100u);
  EXPECT_EQ(TakeSmall(kMedium), first);
  mi_page_t* const fresh = TakeSmall(kMedium);
  EXPECT_TRUE(fresh != nullptr && fresh != first && fresh != second);
  for (mi_page_t* page : {first, second, fresh}) Give(page);
}

TEST_F(HeldPagesTest, SoManyOfMediumBlocksAreHeldAndNoneOfSmallOnes) {
  mi_page_t* const small = Take(MI_SMALL_SIZE_MAX);
  EXPECT_FALSE(HoldSmallPage(small, 1));
  Give(small);
  mi_page_t* pages[kHeldSmallPages + 1];
  for (mi_page_t*& page : pages) page = Take(kMedium);
  for (uint32_t i = 0; i < kHeldSmallPages; ++i) ASSERT_TRUE(HoldSmallPage(pages[i], 1));
  EXPECT_FALSE(HoldSmallPage(pages[kHeldSmallPages], 1));
  Give(pages[kHeldSmallPages]);
}

TEST_F(HeldPagesTest, ThoseAmongSomeSlicesGo) {
  mi_page_t* const before = Take(kLarge);
  mi_page_t* const behind = Take(kLarge);
  const mi_slice_t* const slice = mi_page_to_slice(behind);
  const size_t slices = behind->slice_count;
  ASSERT_TRUE(HoldPage(before));
  ASSERT_TRUE(HoldPage(behind));
  LetHeldPagesBehindGo(context_, slice, slices);
  EXPECT_EQ(TakeHeldPage(context_, kLarge), before);
  EXPECT_EQ(TakeHeldPage(context_, kLarge), nullptr);
  Give(before);
}

TEST_F(HeldPagesTest, WhereMemoryIsShortNoneAreHeld) {
  mi_page_t* const page = Take(kLarge);
  mi_page_t* const medium = Take(kMedium);
  constexpr uint64_t kNow = uint64_t{1} << 62;
  BeginShortage(kNow);
  EXPECT_FALSE(HoldPage(page));
  EXPECT_FALSE(HoldSmallPage(medium, 1));
  EndShortageIfDue(UINT64_MAX);
  EXPECT_FALSE(HoldPage(page)) << "the context has not yet given its own back";
  PurgeContext(context_, /*force=*/true);
  EXPECT_TRUE(HoldPage(page));
  EXPECT_TRUE(HoldSmallPage(medium, 1));
}

}  // namespace
}  // namespace taskmem
