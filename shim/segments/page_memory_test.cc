#include "shim/segments/page_memory.h"

#include <gtest/gtest.h>

#include "shim/contexts/allocator_testing.h"
#include "shim/segments/segment_map.h"
#include "shim/segments/slack.h"

namespace taskmem {
namespace {

class PageMemoryTest : public AllocatorTest {
 protected:
  mi_page_t* Take(size_t bytes) { return TakePageMemory(&context_->shared.heap, bytes, 0); }
  void Give(mi_page_t* page) { GivePageMemory(page, false, &context_->tld.segments); }
  int64_t Slack() const { return context_->slack_bytes; }

  static char* MemoryOf(const mi_page_t* page) {
    size_t bytes = 0;
    return reinterpret_cast<char*>(_mi_segment_page_start(_mi_page_segment(page), page, &bytes));
  }
};

TEST_F(PageMemoryTest, FreeFindsThePageOfEachSliceThatBlocksBeginIn) {
  mi_page_t* const small = Take(64);
  mi_page_t* const medium = Take(64 * 1024);
  ASSERT_TRUE(small != nullptr && medium != nullptr);
  EXPECT_EQ(small->slice_count, 1u);
  EXPECT_EQ(medium->slice_count, MI_MEDIUM_PAGE_SIZE / MI_SEGMENT_SLICE_SIZE);
  for (mi_page_t* const page : {small, medium}) {
    const char* const memory = MemoryOf(page);
    ASSERT_TRUE(InWindow(memory));
    mi_segment_t* const segment = SegmentOfWindow(memory);
    EXPECT_EQ(segment, _mi_page_segment(page));
    EXPECT_EQ(g_segment_map[reinterpret_cast<uintptr_t>(segment) >> kSegmentShift],
              context_->number);
    const auto first = static_cast<size_t>(mi_page_to_slice(page) - segment->slices);
    const auto distance =
        reinterpret_cast<const char*>(page) - reinterpret_cast<const char*>(segment);
    for (size_t i = 0; i < page->slice_count; ++i) {
      EXPECT_EQ(PageTableOf(segment)[first + i], distance) << "slice " << i;
    }
    EXPECT_EQ(PageTableOf(segment)[0], offsetof(mi_segment_t, slices)) << "where no page is";
  }
  Give(small);
  Give(medium);
}

TEST_F(PageMemoryTest, WhatIsFreeAndInMemoryIsTheContextsSlack) {
  mi_page_t* const stays = Take(64);
  mi_page_t* const goes = Take(64 * 1024);
  const auto bytes = static_cast<int64_t>(goes->slice_count * MI_SEGMENT_SLICE_SIZE);
  PurgeContext(context_, /*force=*/true);
  EXPECT_EQ(Slack(), 0);
  Give(goes);
  EXPECT_GE(Slack(), bytes);
  EXPECT_LT(Slack(), bytes + static_cast<int64_t>(MI_MINIMAL_COMMIT_SIZE))
      << "memory is taken from the system by that much";
  EXPECT_NE(context_->purge_at_ns, 0u) << "it goes back to the system later";
  mi_page_t* const again = Take(64 * 1024);
  EXPECT_EQ(again, goes);
  EXPECT_LT(Slack(), static_cast<int64_t>(MI_MINIMAL_COMMIT_SIZE));
  Give(again);
  PurgeContext(context_, /*force=*/true);
  EXPECT_EQ(Slack(), 0);
  EXPECT_EQ(context_->purge_at_ns, 0u);
  Give(stays);
}

TEST_F(PageMemoryTest, WithItsLastPageASegmentLeavesTheContext) {
  mi_page_t* const first = Take(64);
  mi_page_t* const second = Take(64);
  mi_segment_t* const segment = _mi_page_segment(first);
  ASSERT_EQ(_mi_page_segment(second), segment);
  const int64_t all = g_slack_bytes;
  Give(first);
  const int64_t of_page = g_slack_bytes - all;
  EXPECT_GT(of_page, 0);
  EXPECT_EQ(Slack(), of_page);
  Give(second);
  EXPECT_EQ(Slack(), 0) << "the cache has it now, and its slack";
  EXPECT_GE(g_slack_bytes - all, 2 * of_page);
}

TEST_F(PageMemoryTest, WhereMemoryIsShortNothingFreeIsKept) {
  mi_page_t* const stays = Take(64);
  mi_page_t* const goes = Take(64);
  constexpr uint64_t kNow = uint64_t{1} << 62;
  BeginShortage(kNow);
  Give(goes);
  EXPECT_EQ(Slack(), 0);
  EndShortageIfDue(UINT64_MAX);
  EXPECT_EQ(g_short_until_ns, 0u);
  Give(stays);
}

}  // namespace
}  // namespace taskmem
