#include "shim/mapping_book/shared_objects.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace taskmem {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t AllInMemory(uint64_t, uint64_t bytes) { return bytes; }

class Objects : public ::testing::Test {
 protected:
  bool Count(uint64_t inode, uint64_t page, uint64_t pages, uint32_t slot) {
    return objects_.Count(1, inode, page * kPage, 0x7000'0000'0000, pages * kPage, slot,
                          AllInMemory);
  }
  std::map<uint32_t, uint64_t> End() {
    std::map<uint32_t, uint64_t> pages;
    objects_.End([&](uint32_t slot, uint64_t bytes) { pages[slot] += bytes / kPage; });
    return pages;
  }

  // The objects are the process's, and never give memory back.
  std::vector<std::unique_ptr<char[]>> taken_;
  SharedObjects objects_{{[](size_t bytes, void* taken) {
                            auto& all = *static_cast<decltype(taken_)*>(taken);
                            return static_cast<void*>(all.emplace_back(new char[bytes]()).get());
                          },
                          [](void*, void*) {}, &taken_}};
};

using Pages = std::map<uint32_t, uint64_t>;

TEST_F(Objects, AreCountedOnceWhereverTheyAreMapped) {
  objects_.Begin();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Count(5, 0, 100, 2));
  EXPECT_EQ(End(), (Pages{{2, 100}}));
}

TEST_F(Objects, MayBeMappedInOverlappingParts) {
  objects_.Begin();
  Count(5, 10, 10, 2);
  Count(5, 15, 10, 2);
  Count(5, 0, 50, 2);
  Count(5, 49, 2, 2);
  EXPECT_EQ(End(), (Pages{{2, 51}}));
}

TEST_F(Objects, AreToldApart) {
  objects_.Begin();
  Count(5, 0, 10, 2);
  Count(6, 0, 10, 2);
  EXPECT_TRUE(objects_.Count(2, 5, 0, 0, kPage, 3, AllInMemory));
  EXPECT_EQ(End(), (Pages{{2, 20}, {3, 1}}));
}

TEST_F(Objects, StayWithWhoWasSeenWithThemFirst) {
  objects_.Begin();
  Count(5, 0, 10, 2);
  EXPECT_EQ(End(), (Pages{{2, 10}}));
  objects_.Begin();
  Count(5, 0, 10, 3);  // a lower address
  Count(5, 0, 10, 2);
  EXPECT_EQ(End(), (Pages{{2, 10}}));
  objects_.Begin();
  Count(5, 0, 10, 3);
  EXPECT_EQ(End(), (Pages{{3, 10}}));
}

TEST_F(Objects, ThatAreGoneLeaveRoom) {
  for (uint64_t inode = 1; inode <= 10000; ++inode) {
    objects_.Begin();
    ASSERT_TRUE(Count(inode, 0, 1, 2));
    ASSERT_EQ(End(), (Pages{{2, 1}}));
  }
}

TEST_F(Objects, TooManyAreSaidNotToBeCounted) {
  objects_.Begin();
  uint64_t counted = 0;
  for (uint64_t inode = 1; inode <= 10000; ++inode) counted += Count(inode, 0, 1, 2);
  EXPECT_GE(counted, 100u);
  EXPECT_LT(counted, 10000u);
  EXPECT_EQ(End(), (Pages{{2, counted}}));
}

TEST_F(Objects, OfRandomPartsAreTheUnionOfThem) {
  const unsigned seed = 20240607;
  std::mt19937 random(seed);
  for (int look = 0; look < 50; ++look) {
    std::set<std::pair<uint64_t, uint64_t>> pages;
    objects_.Begin();
    for (int i = 0; i < 300; ++i) {
      const uint64_t inode = random() % 3 + 1;
      const uint64_t page = random() % 5000;
      const uint64_t count = random() % 40 + 1;
      ASSERT_TRUE(Count(inode, page, count, 7));
      for (uint64_t j = 0; j < count; ++j) pages.insert({inode, page + j});
    }
    ASSERT_EQ(End(), (Pages{{7, pages.size()}})) << "seed " << seed;
  }
}

}  // namespace
}  // namespace taskmem
