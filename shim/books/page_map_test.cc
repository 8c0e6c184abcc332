#include "shim/books/page_map.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <map>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

constexpr uint64_t kSlice = uint64_t{1} << PageMap::kSliceShift;
constexpr uint64_t kWindow = uint64_t{1} << PageMap::kWindowShift;
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

// What Look finds for the first byte of each slice of [begin, end).
void ExpectPlaces(char* begin, char* end, uint64_t step, char* start, char* block, uint64_t bytes,
                  uint64_t entry) {
  for (char* at = begin; at < end; at += step) {
    const PageMap::Place place = PageMap::Look(at);
    const bool is_in = at >= block && at < block + bytes;
    ASSERT_EQ(place.entry, is_in ? entry : 0) << (at - block) / static_cast<int64_t>(step);
    ASSERT_EQ(place.start, is_in ? start : nullptr);
  }
}

TEST(PageMap, EachAddressInALargeBlockLeadsToIt) {
  char* const window = At(31 * kLeaf);
  char* const end = window + kWindow;
  for (uint64_t first = 1; first < kWindow / kSlice; first = first * 3 / 2 + 1) {
    for (const uint64_t slices : {1, 2, 3, 8, 17, 200, 511}) {
      if (first + slices > kWindow / kSlice) break;
      char* const start = window + first * kSlice;
      // The page is larger than what is charged of it.
      const uint64_t bytes = (slices + 1) / 2 * kSlice;
      const uint64_t entry = PageMap::Large(3, bytes);
      ASSERT_TRUE(PageMap::SetLarge(start, slices, entry));
      EXPECT_EQ(PageMap::OfPage(start), entry);
      EXPECT_LE(Entries().size(), 10u);
      ExpectPlaces(window, end, kSlice, start, start, bytes, entry);
      // It grows within its page.
      const uint64_t grown = PageMap::Changed(entry, 4, slices * kSlice);
      PageMap::Find(start)->store(grown);
      ExpectPlaces(window, end, kSlice, start, start, slices * kSlice, grown);
      EXPECT_EQ(PageMap::TakeLarge(start, slices), grown);
      EXPECT_TRUE(Entries().empty());
    }
  }
}

TEST(PageMap, LargeBlocksBesideEachOtherAreToldApart) {
  char* const window = At(41 * kLeaf);
  constexpr uint64_t kSlices[] = {5, 1, 12, 64, 3, 100};
  char* start = window + kSlice;
  for (const uint64_t slices : kSlices) {
    ASSERT_TRUE(PageMap::SetLarge(start, slices, PageMap::Large(9, slices * kSlice)));
    start += slices * kSlice;
  }
  // A page between them, with nothing in its neighbourhood.
  ASSERT_TRUE(PageMap::SetAll(start, 1, PageMap::Owned(7)));
  EXPECT_EQ(PageMap::Look(start + kSlice).entry, 0u);
  EXPECT_EQ(PageMap::Look(start + 10).entry, PageMap::Owned(7));
  EXPECT_EQ(PageMap::Look(start + 10).start, start);
  PageMap::SetAll(start, 1, 0);
  start = window + kSlice;
  for (const uint64_t slices : kSlices) {
    for (uint64_t i = 0; i < slices; ++i) {
      EXPECT_EQ(PageMap::Look(start + i * kSlice + 5).start, start);
    }
    PageMap::TakeLarge(start, slices);
    EXPECT_EQ(PageMap::Look(start + (slices - 1) * kSlice).entry, 0u);
    start += slices * kSlice;
  }
  EXPECT_TRUE(Entries().empty());
}

TEST(PageMap, EachAddressInAHugeBlockLeadsToItAsItGrowsAndShrinks) {
  constexpr uint64_t kTable = kWindow << PageMap::kLeafShift;
  for (const uint64_t first : {kTable + 7 * kWindow, 2 * kTable - 3 * kWindow, 3 * kTable}) {
    char* const segment = At(first);
    char* const start = segment + PageMap::kHugeStart;
    uint64_t bytes = 20 << 20;
    uint64_t entry = PageMap::Large(6, bytes);
    ASSERT_TRUE(PageMap::SetHuge(segment, PageMap::kHugeStart + bytes, entry));
    for (const uint64_t windows : {1, 2, 5, 40, 1000, 33, 2, 1}) {
      const uint64_t next = windows * kWindow - PageMap::kHugeStart;
      ASSERT_TRUE(PageMap::ResizeHuge(segment, PageMap::kHugeStart + bytes, windows * kWindow));
      bytes = next;
      entry = PageMap::Changed(entry, 6, bytes);
      PageMap::FindHuge(start)->store(entry);
      EXPECT_EQ(PageMap::OfPage(start), entry);
      EXPECT_LE(Entries().size(), 24u);
      EXPECT_EQ(Entries()[start], entry);
      ExpectPlaces(segment - 3 * kWindow, start + bytes + 3 * kWindow, kWindow / 2, start, start,
                   bytes, entry);
    }
    ASSERT_TRUE(PageMap::SetHuge(segment, PageMap::kHugeStart + bytes, 0));
    EXPECT_TRUE(Entries().empty());
  }
}

TEST(PageMap, AHugeBlockThatIsAlignedBeginsInItsSecondWindow) {
  char* const segment = At(5 * (kWindow << PageMap::kLeafShift) + kWindow);
  char* const start = segment + PageMap::kHugeStart;
  const uint64_t entry = PageMap::AlignedHuge(2, 3 * kWindow);
  EXPECT_EQ(PageMap::SlotOf(entry), 2u);
  EXPECT_EQ(PageMap::LargeBytes(entry), 3 * kWindow);
  ASSERT_TRUE(PageMap::SetHuge(segment, 4 * kWindow, entry));
  EXPECT_EQ(PageMap::OfPage(start), entry);
  ExpectPlaces(segment - kWindow, segment + 6 * kWindow, kSlice, start, segment + kWindow,
               3 * kWindow, entry);
  ASSERT_TRUE(PageMap::SetHuge(segment, 4 * kWindow, 0));
  EXPECT_TRUE(Entries().empty());
}

TEST(PageMap, WhatIsForgottenCanBeUsedAgain) {
  char* const segment = At(51 * kLeaf + kWindow);
  char* const other = segment + kWindow;
  ASSERT_TRUE(PageMap::SetAll(other, 1, PageMap::Owned(1)));
  ASSERT_TRUE(PageMap::SetAll(segment, 512, PageMap::Owned(2)));
  ASSERT_TRUE(PageMap::SetAll(segment, 512, 0));
  PageMap::Forget(segment);
  unsigned char is_resident = 1;
  ASSERT_EQ(mincore(PageMap::Find(segment), 4096, &is_resident), 0);
  EXPECT_EQ(is_resident & 1, 0);
  EXPECT_EQ(PageMap::Get(segment + 5 * kSlice), 0u);
  EXPECT_EQ(PageMap::Get(other), PageMap::Owned(1));
  ASSERT_TRUE(PageMap::SetAll(segment, 1, PageMap::Owned(3)));
  EXPECT_EQ(PageMap::Get(segment), PageMap::Owned(3));
  PageMap::SetAll(segment, 1, 0);
  PageMap::SetAll(other, 1, 0);
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
