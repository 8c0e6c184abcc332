#include "spill/overflow/overflow_pager.h"

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace taskmem {
namespace {

constexpr uint32_t kTask = kFirstTaskSlot;
constexpr uint32_t kOther = kFirstTaskSlot + 1;
constexpr uint64_t kChunk = OverflowPager::kChunkBytes;

// A page table and a disk of numbers.
class TestHost final : public OverflowPager::Host {
 public:
  explicit TestHost(uint64_t chunks) : pages(chunks), owners(chunks, kTask) {}

  uint64_t ChunkEnd() override { return pages.size(); }
  void CountPages(uint64_t first, uint32_t count, uint8_t* counts) override {
    for (uint32_t i = 0; i < count; ++i) counts[i] = pages[first + i];
    counted += count;
  }
  uint32_t OwnerOf(uint64_t chunk) override { return owners[chunk]; }
  OverflowPager::Share ShareOf(uint32_t slot) override { return shares[slot]; }
  uint64_t CacheBytes() override { return cache_bytes; }
  void Unmap(const OverflowPager::Run* runs, uint32_t count) override {
    ASSERT_LE(count, OverflowPager::kMostRuns);
    for (uint32_t r = 0; r < count; ++r) {
      for (uint64_t i = runs[r].first; i < runs[r].first + runs[r].count; ++i) {
        pages[i] = 0;
        unmapped.push_back(i);
      }
    }
  }
  bool WriteAndDrop(uint64_t first, uint64_t count) override {
    if (!disk_works) return false;
    for (uint64_t i = first; i < first + count; ++i) dropped.push_back(i);
    return true;
  }
  void NotePushedOut(uint32_t slot, uint64_t bytes) override { pushed_out[slot] += bytes; }
  void NoteReturned(uint32_t slot, uint64_t bytes) override { returned[slot] += bytes; }

  void Touch(uint64_t first, uint64_t count) {
    for (uint64_t i = first; i < first + count; ++i) pages[i] = 16;
  }
  uint64_t FileBytes() const {
    uint64_t bytes = 0;
    for (uint8_t count : pages) bytes += count * OverflowPager::kPageBytes;
    return bytes;
  }

  std::vector<uint8_t> pages;
  std::vector<uint32_t> owners;
  std::map<uint32_t, OverflowPager::Share> shares;
  std::map<uint32_t, uint64_t> pushed_out;
  std::map<uint32_t, uint64_t> returned;
  std::vector<uint64_t> unmapped;
  std::vector<uint64_t> dropped;
  uint64_t cache_bytes = 0;
  uint64_t counted = 0;
  bool disk_works = true;
};

class OverflowPagerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.shares[kTask] = {100 * kChunk, 80 * kChunk};
    host_.shares[kOther] = {1000 * kChunk, 1000 * kChunk};
    ASSERT_TRUE(pager_.Open(host_, host_.pages.size()));
  }
  uint64_t Look() { return pager_.Look(host_.FileBytes()); }
  void WriteAll() {
    while (pager_.WriteSome()) {
    }
  }

  TestHost host_{1024};
  OverflowPager pager_;
};

TEST_F(OverflowPagerTest, BelowItsShareNothingLeaves) {
  host_.Touch(0, 100);
  EXPECT_EQ(Look(), 0u);
  EXPECT_EQ(pager_.ResidentOf(kTask), 100 * kChunk);
  EXPECT_EQ(pager_.resident_bytes(), 100 * kChunk);
}

TEST_F(OverflowPagerTest, AboveItsShareTheOldestLeaveDownToTheLowMark) {
  host_.Touch(0, 101);
  EXPECT_EQ(Look(), 21 * kChunk);
  EXPECT_EQ(pager_.ResidentOf(kTask), 80 * kChunk);
  ASSERT_EQ(host_.unmapped.size(), 21u);
  EXPECT_EQ(host_.unmapped.front(), 0u);
  EXPECT_EQ(host_.unmapped.back(), 20u);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes()), 20 * kChunk);
}

TEST_F(OverflowPagerTest, GrowthIsSeenInTheSumAlone) {
  host_.Touch(0, 90);
  Look();
  host_.Touch(90, 20);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes()), 0u);
  EXPECT_EQ(pager_.Excess(host_.FileBytes()), 10 * kChunk);
  host_.counted = 0;
  EXPECT_EQ(Look(), 30 * kChunk);
  EXPECT_LE(host_.counted, OverflowPager::kScanChunks) << "looked where the hand did not go";
}

TEST_F(OverflowPagerTest, WhatIsTouchedAgainIsHotAndIsPassedOnce) {
  host_.Touch(0, 110);
  Look();             // 0 to 29 leave
  host_.Touch(0, 5);  // and 0 to 4 come back
  pager_.Scan(host_.FileBytes());
  // Brings the hand around once, and past these.
  const auto go_around = [this] {
    host_.unmapped.clear();
    for (uint64_t first = 110; first < 1000; first += 50) {
      host_.Touch(first, 50);
      Look();
    }
    bool left = false;
    for (uint64_t chunk : host_.unmapped) left |= chunk < 5;
    return left;
  };
  EXPECT_FALSE(go_around());
  const bool left = go_around();
  EXPECT_TRUE(go_around() || left) << "what was hot once never leaves";
}

TEST_F(OverflowPagerTest, OnlyTheTaskThatIsAboveItsShareGives) {
  for (uint64_t i = 0; i < 200; ++i) host_.owners[i] = i % 2 == 0 ? kTask : kOther;
  host_.Touch(0, 240);  // 140 and 100
  EXPECT_EQ(Look(), 60 * kChunk);
  for (uint64_t chunk : host_.unmapped) EXPECT_EQ(host_.owners[chunk], kTask);
  EXPECT_EQ(pager_.ResidentOf(kOther), 100 * kChunk);
}

TEST_F(OverflowPagerTest, MemoryOfNoTaskLeavesFirst) {
  host_.shares[OverflowPager::kNobody] = {0, 0};
  for (uint64_t i = 50; i < 60; ++i) host_.owners[i] = OverflowPager::kNobody;
  host_.Touch(0, 100);
  EXPECT_EQ(Look(), 10 * kChunk);
  EXPECT_EQ(host_.unmapped.front(), 50u);
}

TEST_F(OverflowPagerTest, TheSecondHandWritesWhatStaysUnmapped) {
  host_.Touch(0, 110);
  Look();
  host_.Touch(10, 5);
  pager_.Scan(host_.FileBytes());
  WriteAll();
  EXPECT_EQ(host_.dropped.size(), 25u);
  for (uint64_t chunk : host_.dropped) EXPECT_TRUE(chunk < 10 || chunk >= 15);
  EXPECT_EQ(host_.pushed_out[kTask], 25 * kChunk);
  EXPECT_EQ(pager_.cached_bytes(), 0u);
}

TEST_F(OverflowPagerTest, SomeMayStayInThePageCache) {
  host_.cache_bytes = 20 * kChunk;
  host_.Touch(0, 110);
  Look();
  WriteAll();
  EXPECT_LE(pager_.cached_bytes(), 20 * kChunk);
  EXPECT_LE(host_.dropped.size(), 30u);
  EXPECT_GE(host_.dropped.size(), 10u);
}

TEST_F(OverflowPagerTest, WhatComesBackFromDiskIsCounted) {
  host_.Touch(0, 110);
  Look();
  WriteAll();
  EXPECT_EQ(host_.returned[kTask], 0u);
  host_.Touch(0, 7);
  pager_.Scan(host_.FileBytes());
  EXPECT_EQ(host_.returned[kTask], 7 * kChunk);
  pager_.Scan(host_.FileBytes());
  EXPECT_EQ(host_.returned[kTask], 7 * kChunk) << "counted twice";
}

TEST_F(OverflowPagerTest, ADiskThatFailsKeepsItCached) {
  host_.disk_works = false;
  host_.Touch(0, 110);
  Look();
  EXPECT_FALSE(pager_.WriteSome());
  EXPECT_EQ(pager_.cached_bytes(), 30 * kChunk);
  host_.disk_works = true;
  WriteAll();
  EXPECT_EQ(pager_.cached_bytes(), 0u);
}

TEST_F(OverflowPagerTest, WhatIsGivenBackIsForgotten) {
  host_.Touch(0, 110);
  Look();
  pager_.Forget(0, 50);  // 30 unmapped, 20 resident
  EXPECT_EQ(pager_.cached_bytes(), 0u);
  EXPECT_EQ(pager_.ResidentOf(kTask), 60 * kChunk);
  for (uint64_t i = 0; i < 50; ++i) host_.pages[i] = 0;
  host_.Touch(0, 10);
  pager_.Scan(host_.FileBytes());
  EXPECT_EQ(host_.returned[kTask], 0u);
  pager_.ForgetAll();
  EXPECT_EQ(pager_.resident_bytes(), 0u);
}

// A task that gives memory back has room for more; what it gave back is in memory until it leaves.
TEST_F(OverflowPagerTest, WhatIsNobodysAnyMoreLeavesWithTheSameLook) {
  host_.shares[OverflowPager::kNobody] = {10 * kChunk, 5 * kChunk};
  host_.Touch(0, 95);
  Look();
  for (uint64_t i = 0; i < 90; ++i) host_.owners[i] = OverflowPager::kNobody;
  host_.Touch(95, 10);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes()), 0u);
  Look();
  EXPECT_EQ(pager_.ResidentOf(OverflowPager::kNobody), 5 * kChunk);
  EXPECT_EQ(pager_.ResidentOf(kTask), 15 * kChunk);
  EXPECT_EQ(host_.FileBytes(), 20 * kChunk);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes()), 85 * kChunk);
}

TEST_F(OverflowPagerTest, ThereIsNoRoomWhileMuchIsNobodys) {
  host_.shares[OverflowPager::kNobody] = {10 * kChunk, 5 * kChunk};
  for (uint64_t i = 0; i < 40; ++i) host_.owners[i] = OverflowPager::kNobody;
  host_.Touch(0, 60);
  pager_.Scan(host_.FileBytes());
  EXPECT_EQ(pager_.Headroom(host_.FileBytes()), 0u);
  EXPECT_EQ(pager_.Excess(host_.FileBytes()), 0u) << "no task is above its share";
  EXPECT_EQ(Look(), 35 * kChunk);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes()), 80 * kChunk);
}

TEST_F(OverflowPagerTest, OtherFilesDoNotCount) {
  host_.Touch(0, 50);
  const uint64_t others = 500 * kChunk;
  pager_.Scan(host_.FileBytes() + others);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes() + others), 50 * kChunk);
  // Growth that turns out not to be ours.
  EXPECT_EQ(pager_.Look(host_.FileBytes() + 4 * others), 0u);
  EXPECT_EQ(pager_.Headroom(host_.FileBytes() + 4 * others), 50 * kChunk);
}

// A program that touches, a hand that unmaps, a hand that writes, memory given back: what is
// out or cached is never counted below nothing, and ends where it began.
class RacingHost final : public OverflowPager::Host {
 public:
  static constexpr uint64_t kChunks = 4096;

  uint64_t ChunkEnd() override { return kChunks; }
  void CountPages(uint64_t first, uint32_t count, uint8_t* counts) override {
    for (uint32_t i = 0; i < count; ++i) counts[i] = pages[first + i].load();
  }
  uint32_t OwnerOf(uint64_t chunk) override { return chunk % 3 == 0 ? kOther : kTask; }
  OverflowPager::Share ShareOf(uint32_t) override { return {300 * kChunk, 200 * kChunk}; }
  uint64_t CacheBytes() override { return 0; }
  void Unmap(const OverflowPager::Run* runs, uint32_t count) override {
    for (uint32_t r = 0; r < count; ++r) {
      for (uint64_t i = 0; i < runs[r].count; ++i) pages[runs[r].first + i].store(0);
    }
  }
  bool WriteAndDrop(uint64_t, uint64_t) override { return true; }
  void NotePushedOut(uint32_t, uint64_t bytes) override { pushed_out += bytes; }
  void NoteReturned(uint32_t, uint64_t bytes) override { returned += bytes; }

  uint64_t FileBytes() const {
    uint64_t bytes = 0;
    for (const auto& count : pages) bytes += count.load() * OverflowPager::kPageBytes;
    return bytes;
  }

  std::atomic<uint8_t> pages[kChunks] = {};
  std::atomic<uint64_t> pushed_out{0};
  std::atomic<uint64_t> returned{0};
};

TEST(OverflowPagerRaceTest, TheBooksStandWhateverHappensMeanwhile) {
  RacingHost host;
  OverflowPager pager;
  ASSERT_TRUE(pager.Open(host, RacingHost::kChunks));
  std::atomic<bool> stop{false};
  std::thread program([&] {
    uint64_t random = 4711;
    while (!stop.load()) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const uint64_t chunk = (random >> 33) % RacingHost::kChunks;
      if ((random >> 20) % 64 == 0) {
        const uint64_t count = chunk + 32 < RacingHost::kChunks ? 32 : 1;
        for (uint64_t i = 0; i < count; ++i) host.pages[chunk + i].store(0);
        pager.Forget(chunk, count);
      } else {
        host.pages[chunk].store(16);
      }
    }
  });
  std::thread writer([&] {
    while (!stop.load()) pager.WriteSome();
  });
  // The other threads may come late.
  for (int i = 0; i < 100 || host.pushed_out.load() == 0; ++i) {
    pager.Look(host.FileBytes());
    if (i % 16 == 0) pager.Scan(host.FileBytes());
  }
  stop.store(true);
  program.join();
  writer.join();
  pager.Scan(host.FileBytes());
  while (pager.WriteSome()) {
  }
  EXPECT_EQ(pager.cached_bytes(), 0u);
  EXPECT_EQ(pager.resident_bytes(), host.FileBytes());
  EXPECT_EQ(pager.ResidentOf(kTask) + pager.ResidentOf(kOther), host.FileBytes());
  EXPECT_GT(host.pushed_out.load(), 0u);
  EXPECT_LE(host.returned.load(), host.pushed_out.load());
  pager.Forget(0, RacingHost::kChunks);
  EXPECT_EQ(pager.resident_bytes(), 0u);
}

TEST(IsThrashingTest, MuchComesBackOfWhatWentOut) {
  constexpr uint64_t kQuota = 100;
  EXPECT_FALSE(IsThrashing(0, 0, kQuota));
  EXPECT_FALSE(IsThrashing(1000, 49, kQuota)) << "little came back";
  EXPECT_FALSE(IsThrashing(1000, 300, kQuota)) << "it grows: most stays out";
  EXPECT_TRUE(IsThrashing(100, 50, kQuota));
  EXPECT_TRUE(IsThrashing(0, 80, kQuota));
}

}  // namespace
}  // namespace taskmem
