#include "accounting/audit/kept_segment.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(KeptSegment, IsOneWordThatIsNotZero) {
  for (const uint64_t start : {32 * kMiB, (uint64_t{1} << 47) - 32 * kMiB}) {
    for (const uint64_t bytes : {uint64_t{65536}, 17 * kMiB, KeptSegment::kMostBytes}) {
      for (const uint64_t tick : {uint64_t{0}, KeptSegment::TickAt(UINT64_MAX)}) {
        const uint64_t word = KeptSegment{start, bytes, tick}.Packed();
        EXPECT_NE(word, 0u);
        const KeptSegment same = KeptSegment::Unpacked(word);
        EXPECT_EQ(same.start, start);
        EXPECT_EQ(same.bytes, bytes);
        EXPECT_EQ(same.tick, tick);
      }
    }
  }
}

TEST(KeptSegment, AgesOverTheEndOfItsTicks) {
  constexpr uint64_t kTickNs = uint64_t{1} << KeptSegment::kTickShift;
  const uint64_t last = KeptSegment::TickAt(UINT64_MAX);
  const KeptSegment kept = {32 * kMiB, kMiB, last - 1};
  EXPECT_EQ(kept.TicksUntil(last - 1), 0u);
  EXPECT_EQ(kept.TicksUntil(last), 1u);
  EXPECT_EQ(kept.TicksUntil(KeptSegment::TickAt((last + 1) * kTickNs)), 2u);
  EXPECT_EQ(kept.TicksUntil(KeptSegment::TickAt((last + 7) * kTickNs)), 8u);
}

}  // namespace
}  // namespace taskmem
