#include "shim/segments/slack.h"

#include <gtest/gtest.h>

#include "shim/base/os.h"
#include "shim/contexts/allocator_testing.h"
#include "shim/segments/page_memory.h"

namespace taskmem {
namespace {

constexpr size_t kMedium = 4096;

class SlackTest : public AllocatorTest {
 protected:
  SlackTest() { OpenSlack(); }

  // A page becomes free while others of its segment are in use: how long it is kept, in ms.
  int64_t KeptMs() {
    mi_page_t* const stays = TakePageMemory(&context_->shared.heap, kMedium, 0);
    mi_page_t* const page = TakePageMemory(&context_->shared.heap, kMedium, 0);
    mi_segment_t* const segment = _mi_page_segment(page);
    EXPECT_EQ(segment, _mi_page_segment(stays));
    const mi_msecs_t before = _mi_clock_now();
    GivePageMemory(page, false, &context_->tld.segments);
    const mi_msecs_t until = segment->decommit_expire;
    GivePageMemory(stays, false, &context_->tld.segments);
    return until == 0 ? 0 : until - before;
  }
};

TEST_F(SlackTest, FreePagesAreKeptForHalfASecondAndNotWhereMemoryIsShort) {
  EXPECT_GE(KeptMs(), 500);
  const uint64_t now = os::MonotonicNs();
  BeginShortage(now);
  EXPECT_EQ(KeptMs(), 0);
  EndShortageIfDue(now + 10'000'000'000);
  EXPECT_GE(KeptMs(), 500);
}

}  // namespace
}  // namespace taskmem
