#include "shim/segments/segment_map.h"

#include <gtest/gtest.h>

namespace taskmem {

uint32_t g_segment_map[kSegments];

namespace {

constexpr uintptr_t kSegmentBytes = uintptr_t{1} << kSegmentShift;
constexpr uintptr_t kAt = 5 * kSegmentBytes;

const void* At(uintptr_t address) { return reinterpret_cast<const void*>(address); }

TEST(SegmentMap, KnowsTheWindowsOfSegments) {
  g_segment_map[5] = 7;
  EXPECT_FALSE(InWindow(nullptr));
  EXPECT_FALSE(InWindow(At(kAt - 1)));
  EXPECT_TRUE(InWindow(At(kAt)));
  EXPECT_TRUE(InWindow(At(kAt + kSegmentBytes - 1)));
  EXPECT_FALSE(InWindow(At(kAt + kSegmentBytes)));
  g_segment_map[5] = 0;
  EXPECT_FALSE(InWindow(At(kAt)));
}

// A huge block that is aligned by more than a segment begins where its segment's window ends.
TEST(SegmentMap, ABlockMayBeginWhereTheWindowEnds) {
  g_segment_map[5] = 7;
  EXPECT_TRUE(InSegment(At(kAt + kSegmentBytes)));
  EXPECT_FALSE(InSegment(At(kAt)));
  EXPECT_FALSE(InSegment(At(kAt + kSegmentBytes + 1)));
  g_segment_map[5] = 0;
}

TEST(SegmentMap, AddressesOfNoProgramAreNone) {
  EXPECT_FALSE(InWindow(At(UINTPTR_MAX)));
  EXPECT_FALSE(InSegment(nullptr));
  EXPECT_FALSE(InWindow(At(uintptr_t{1} << PageMap::kAddressBits)));
}

TEST(SegmentMap, TheTableOfPagesLiesBehindTheHeader) {
  alignas(mi_segment_t) static char segment[kSliceBytes];
  auto* const at = reinterpret_cast<mi_segment_t*>(segment);
  PageDistance* const table = PageTableOf(at);
  EXPECT_GE(reinterpret_cast<char*>(table), segment + sizeof(mi_segment_t));
  EXPECT_LE(reinterpret_cast<char*>(table + MI_SLICES_PER_SEGMENT), segment + sizeof(segment));
  EXPECT_EQ(SegmentOfWindow(At(kAt + 4711)), reinterpret_cast<mi_segment_t*>(kAt));
}

}  // namespace
}  // namespace taskmem
