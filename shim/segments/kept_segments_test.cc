#include "shim/segments/kept_segments.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "shim/base/os.h"
#include "shim/contexts/allocator_testing.h"
#include "shim/heap/heap.h"
#include "shim/segments/segment_addresses.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {
bool g_is_awaited = true;
}  // namespace
bool AwaitsKeptSegments() { return g_is_awaited; }

namespace {

constexpr size_t kMiB = 1 << 20;
constexpr uint64_t kMuch = uint64_t{1} << 40;

class KeptSegmentsTest : public AllocatorTest {
 protected:
  KeptSegmentsTest() : slack_before_(g_slack_bytes) {
    g_stats->charged_bytes = 0;
    g_stats->peak_charged_bytes = kMuch;
  }
  ~KeptSegmentsTest() override {
    g_is_awaited = true;
    LetKeptMemoryGo(/*all=*/true);
    EXPECT_EQ(Slack(), 0);
    EXPECT_EQ(Words(), 0);
  }

  int64_t Slack() const { return g_slack_bytes - slack_before_; }
  static long Words() {
    return std::count_if(std::begin(g_kept_segments), std::end(g_kept_segments),
                         [](const auto& word) { return word != 0; });
  }

  // Memory as of a segment of `mib`, all of it written to.
  static char* Map(size_t mib) {
    char* const start =
        ReserveAligned(WholeWindow(mib * kMiB), MI_SEGMENT_ALIGN, 0, PROT_READ | PROT_WRITE);
    memset(start, 1, mib * kMiB);
    return start;
  }
  static char* Keep(size_t mib) {
    char* const start = Map(mib);
    EXPECT_TRUE(KeepSegmentMemory(start, mib * kMiB));
    return start;
  }
  static char* Take(size_t mib) { return TakeKeptSegmentMemory(mib * kMiB); }
  static void Unmap(char* start, size_t mib) { os::Unmap(start, WholeWindow(mib * kMiB)); }

  // How much of `bytes` from there on is in memory; -1: not all of it is mapped.
  static int64_t Resident(char* start, size_t bytes) {
    std::vector<unsigned char> pages(bytes / 4096);
    if (mincore(start, bytes, pages.data()) != 0) return -1;
    return 4096 * std::count_if(pages.begin(), pages.end(), [](auto page) { return page & 1; });
  }

 private:
  const int64_t slack_before_;
};

TEST_F(KeptSegmentsTest, ComesBackWithAHeaderOfZeros) {
  char* const start = Keep(40);
  EXPECT_EQ(Slack(), int64_t{40 * kMiB});
  EXPECT_TRUE(HasKeptMemory());
  ASSERT_EQ(Take(40), start);
  EXPECT_EQ(Slack(), 0);
  EXPECT_FALSE(HasKeptMemory());
  EXPECT_EQ(start[0], 0);
  EXPECT_EQ(start[MI_SEGMENT_SLICE_SIZE - 1], 0);
  EXPECT_EQ(start[MI_SEGMENT_SLICE_SIZE], 1);
  EXPECT_EQ(Resident(start, 40 * kMiB), int64_t{40 * kMiB - MI_SEGMENT_SLICE_SIZE + 4096 * 2});
  EXPECT_EQ(Take(17), nullptr);
  Unmap(start, 40);
}

TEST_F(KeptSegmentsTest, TheSmallestThatIsLargeEnoughIsTaken) {
  char* const most = Keep(100);
  char* const least = Keep(36);
  char* const fits = Keep(50);
  EXPECT_EQ(Take(45), fits);
  EXPECT_EQ(Take(36), least);
  EXPECT_EQ(Take(100), most);
  Unmap(fits, 45);
  Unmap(least, 36);
  Unmap(most, 100);
}

TEST_F(KeptSegmentsTest, WhatIsCutOffIsKeptFromWhereASegmentMayBegin) {
  char* const start = Keep(160);
  ASSERT_EQ(Take(40), start);
  EXPECT_EQ(Slack(), int64_t{(160 - 64) * kMiB});
  EXPECT_EQ(Resident(start + 40 * kMiB, 24 * kMiB), -1) << "between them nothing is mapped";
  ASSERT_EQ(Take(96), start + 64 * kMiB);
  EXPECT_EQ(Slack(), 0);
  Unmap(start, 40);
  Unmap(start + 64 * kMiB, 96);
}

TEST_F(KeptSegmentsTest, WhatIsCutOffGoesWhereNobodyLetsItGo) {
  char* const start = Keep(160);
  g_is_awaited = false;
  ASSERT_EQ(Take(40), start);
  EXPECT_FALSE(HasKeptMemory());
  Unmap(start, 40);
}

TEST_F(KeptSegmentsTest, OfAWindowTheRestStaysMappedAndLeavesMemory) {
  char* const start = Keep(30);
  ASSERT_EQ(Take(20), start);
  EXPECT_EQ(Resident(start + 20 * kMiB, 12 * kMiB), 0);
  Unmap(start, 20);
}

TEST_F(KeptSegmentsTest, TheLargestIsExtendedWhereNoneIsLargeEnough) {
  Keep(20);
  Keep(40);
  char* const start = Take(120);
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(start) % MI_SEGMENT_ALIGN, 0u);
  EXPECT_EQ(Slack(), int64_t{20 * kMiB});
  EXPECT_EQ(start[40 * kMiB - 1], 1);
  EXPECT_EQ(start[40 * kMiB], 0);
  EXPECT_EQ(start[120 * kMiB - 1], 0);
  memset(start, 2, 120 * kMiB);
  Unmap(start, 120);
}

TEST_F(KeptSegmentsTest, WithWhatIsChargedItIsNoMoreThanWasChargedAtMost) {
  Unmap(Map(250), 250);  // it was in memory
  g_stats->peak_charged_bytes = 100 * kMiB;
  g_stats->charged_bytes = 40 * kMiB;
  Keep(40);
  char* const more = Map(30);
  EXPECT_FALSE(KeepSegmentMemory(more, 30 * kMiB));
  Unmap(more, 30);
  Keep(20);
  FitKeptMemory();
  EXPECT_EQ(Slack(), int64_t{60 * kMiB});
  g_stats->charged_bytes = 55 * kMiB;
  FitKeptMemory();
  EXPECT_LE(Slack(), int64_t{45 * kMiB});
  EXPECT_TRUE(HasKeptMemory());
  g_stats->charged_bytes = g_stats->peak_charged_bytes = 200 * kMiB;
  FitKeptMemory();
  EXPECT_FALSE(HasKeptMemory());
}

TEST_F(KeptSegmentsTest, WithWhatIsChargedItIsNoMoreThanWasInMemoryAtMost) {
  struct rusage usage;
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  const uint64_t most = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  char* const start = Map(20);
  g_stats->charged_bytes = most + 10 * kMiB;
  EXPECT_FALSE(KeepSegmentMemory(start, 20 * kMiB));
  g_stats->charged_bytes = 0;
  EXPECT_TRUE(KeepSegmentMemory(start, 20 * kMiB));
}

TEST_F(KeptSegmentsTest, NothingIsKeptThatIsLocked) {
  char* const start = Map(20);
  if (mlock(start + 10 * kMiB, 4096) != 0) GTEST_SKIP();
  EXPECT_FALSE(KeepSegmentMemory(start, 20 * kMiB));
  ASSERT_EQ(munlock(start + 10 * kMiB, 4096), 0);
  EXPECT_TRUE(KeepSegmentMemory(start, 20 * kMiB));
}

TEST_F(KeptSegmentsTest, WhatThreadsThatAreGoneHadTakenIsNotCountedInAChild) {
  Keep(20);
  // As if it had been taken out and not yet been counted.
  char* taken = nullptr;
  for (std::atomic<uint64_t>& word : g_kept_segments) {
    if (word != 0) taken = reinterpret_cast<char*>(KeptSegment::Unpacked(word.exchange(0)).start);
  }
  EXPECT_TRUE(HasKeptMemory());
  KeptMemoryAfterFork();
  EXPECT_FALSE(HasKeptMemory());
  EXPECT_EQ(Slack(), 0);
  Unmap(taken, 20);
}

TEST_F(KeptSegmentsTest, GoesWhenItIsOldAndNotBefore) {
  char* const start = Map(20);
  ASSERT_TRUE(KeepSegmentMemory(start, 20 * kMiB));
  LetKeptMemoryGo(/*all=*/false);
  EXPECT_EQ(Slack(), int64_t{20 * kMiB});
  // As if a second had passed.
  for (std::atomic<uint64_t>& word : g_kept_segments) {
    if (word == 0) continue;
    KeptSegment kept = KeptSegment::Unpacked(word);
    kept.tick = KeptSegment::TickAt(os::MonotonicNs() - 1'000'000'000);
    word = kept.Packed();
  }
  EXPECT_EQ(LetKeptMemoryGo(/*all=*/false), 0u);
  EXPECT_EQ(Resident(start, 4096), -1);
}

TEST_F(KeptSegmentsTest, NothingIsKeptWhereMemoryIsShortOrNobodyLetsItGo) {
  char* const start = Map(20);
  g_is_awaited = false;
  EXPECT_FALSE(KeepSegmentMemory(start, 20 * kMiB));
  g_is_awaited = true;
  const uint64_t now = os::MonotonicNs();
  BeginShortage(now);
  EXPECT_FALSE(KeepSegmentMemory(start, 20 * kMiB));
  EndShortageIfDue(now + 10'000'000'000);
  EXPECT_TRUE(KeepSegmentMemory(start, 20 * kMiB));
}

TEST_F(KeptSegmentsTest, ThereIsRoomForSoManyOnly) {
  // Little of each is in memory: what is kept is addresses here.
  const auto map = [] {
    return ReserveAligned(MI_SEGMENT_SIZE, MI_SEGMENT_ALIGN, 0, PROT_READ | PROT_WRITE);
  };
  for (uint32_t i = 0; i < KeptSegment::kSlots; ++i) {
    ASSERT_TRUE(KeepSegmentMemory(map(), MI_SEGMENT_SLICE_SIZE));
  }
  char* const last = map();
  EXPECT_FALSE(KeepSegmentMemory(last, MI_SEGMENT_SLICE_SIZE));
  Unmap(last, 1);
  EXPECT_EQ(Slack(), int64_t{KeptSegment::kSlots * MI_SEGMENT_SLICE_SIZE});
}

}  // namespace
}  // namespace taskmem
