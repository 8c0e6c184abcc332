#include "shim/page_map.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

constexpr uint64_t kSlice = uint64_t{1} << PageMap::kSliceShift;
constexpr uint64_t kLeaf = kSlice << PageMap::kLeafShift;

// Addresses far from what is mapped: only the map knows them. Each test has its
// own part of them, and clears what it sets.
char* At(uint64_t address) { return reinterpret_cast<char*>(address); }

std::map<char*, uint64_t> Entries() {
  std::map<char*, uint64_t> entries;
  PageMap::ForEach([&](char* at, std::atomic<uint64_t>& entry) { entries[at] = entry; });
  return entries;
}

TEST(PageMap, EntriesKeepWhatTheyAreMadeOf) {
  constexpr uint32_t kSlots[] = {0, 1, 2, 65534};
  for (const uint32_t slot : kSlots) {
    EXPECT_EQ(PageMap::KindOf(PageMap::Owned(slot)), PageMap::kOwned);
    EXPECT_EQ(PageMap::SlotOf(PageMap::Owned(slot)), slot);
    for (const uint64_t bytes : {uint64_t{4096}, uint64_t{5} << 20, uint64_t{1} << 47}) {
      const uint64_t entry = PageMap::Large(slot, bytes);
      EXPECT_EQ(PageMap::KindOf(entry), PageMap::kLarge);
      EXPECT_EQ(PageMap::SlotOf(entry), slot);
      EXPECT_EQ(PageMap::LargeBytes(entry), bytes);
    }
  }
  alignas(8) static const char owners[8] = {};
  EXPECT_EQ(PageMap::KindOf(PageMap::Shared(owners)), PageMap::kShared);
  EXPECT_EQ(PageMap::OwnersOf(PageMap::Shared(owners)), owners);
}

TEST(PageMap, KnowsNothingOfWhatWasNeverUsed) {
  const int local = 0;
  for (const void* address : {static_cast<const void*>(nullptr), static_cast<const void*>(&local),
                              static_cast<const void*>(At(uint64_t{1} << 47)),
                              static_cast<const void*>(At(UINT64_MAX))}) {
    EXPECT_EQ(PageMap::Get(address), 0u);
    EXPECT_EQ(PageMap::Find(address), nullptr);
  }
}

TEST(PageMap, AnEntryServesItsWholeSlice) {
  char* start = At(10 * kLeaf + 5 * kSlice);
  ASSERT_TRUE(PageMap::SetAll(start, 2, PageMap::Owned(7)));
  EXPECT_EQ(PageMap::Get(start - 1), 0u);
  EXPECT_EQ(PageMap::Get(start), PageMap::Owned(7));
  EXPECT_EQ(PageMap::Get(start + 2 * kSlice - 1), PageMap::Owned(7));
  EXPECT_EQ(PageMap::Get(start + 2 * kSlice), 0u);
  EXPECT_NE(PageMap::Find(start + 2 * kSlice), nullptr);
  ASSERT_TRUE(PageMap::SetAll(start, 2, 0));
  EXPECT_EQ(PageMap::Get(start), 0u);
}

TEST(PageMap, RunsCrossLeaves) {
  char* start = At(21 * kLeaf - 2 * kSlice);
  ASSERT_TRUE(PageMap::SetAll(start, 4, PageMap::Owned(9)));
  EXPECT_EQ(Entries(), (std::map<char*, uint64_t>{{start, PageMap::Owned(9)},
                                                  {start + kSlice, PageMap::Owned(9)},
                                                  {start + 2 * kSlice, PageMap::Owned(9)},
                                                  {start + 3 * kSlice, PageMap::Owned(9)}}));
  ASSERT_TRUE(PageMap::SetAll(start, 4, 0));
  EXPECT_TRUE(Entries().empty());
}

TEST(PageMap, LaterSlicesOfALargeBlockLeadToItsFirst) {
  char* start = At(31 * kLeaf - kSlice);
  const uint64_t entry = PageMap::Large(3, 3 * kSlice);
  ASSERT_TRUE(PageMap::SetLarge(start, 3, entry));
  EXPECT_EQ(PageMap::Get(start + 100), entry);
  for (uint64_t i = 1; i < 3; ++i) {
    const uint64_t later = PageMap::Get(start + i * kSlice);
    EXPECT_EQ(PageMap::KindOf(later), PageMap::kLater);
    EXPECT_EQ(later >> 3, i);
  }
  ASSERT_TRUE(PageMap::SetLarge(start, 3, 0));
  EXPECT_TRUE(Entries().empty());
}

TEST(PageMap, TheLastSliceOfTheAddressSpaceIsInIt) {
  char* last = At((uint64_t{1} << PageMap::kAddressBits) - kSlice);
  ASSERT_TRUE(PageMap::SetAll(last, 1, PageMap::Owned(1)));
  EXPECT_EQ(PageMap::Get(last + kSlice - 1), PageMap::Owned(1));
  ASSERT_TRUE(PageMap::SetAll(last, 1, 0));
}

TEST(PageMap, ThreadsMakeOneLeafTogether) {
  constexpr uint32_t kThreads = 4;
  constexpr uint64_t kLeaves = 16;
  const auto address = [](uint64_t leaf, uint32_t thread) {
    return At((100 + leaf) * kLeaf + thread * kSlice);
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t leaf = 0; leaf < kLeaves; ++leaf) {
        EXPECT_TRUE(PageMap::SetAll(address(leaf, i), 1, PageMap::Owned(i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Entries().size(), kThreads * kLeaves);
  for (uint64_t leaf = 0; leaf < kLeaves; ++leaf) {
    for (uint32_t i = 0; i < kThreads; ++i) {
      EXPECT_EQ(PageMap::Get(address(leaf, i)), PageMap::Owned(i));
      PageMap::SetAll(address(leaf, i), 1, 0);
    }
  }
}

}  // namespace
}  // namespace taskmem
