#include "accounting/mappings/region_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <tuple>
#include <vector>

namespace taskmem {
namespace {

using Regions = std::vector<std::tuple<uint64_t, uint64_t, uint64_t>>;

Regions Read(const RegionMap& map) {
  Regions regions;
  map.ForEach(
      [&](const Region& region) { regions.emplace_back(region.start, region.end, region.tag); });
  return regions;
}

Regions Set(RegionMap& map, uint64_t start, uint64_t end, uint64_t tag) {
  Regions replaced;
  EXPECT_TRUE(map.Prepare());
  map.Set(start, end, tag, [&](const Region& region) {
    replaced.emplace_back(region.start, region.end, region.tag);
  });
  return replaced;
}

Regions Clear(RegionMap& map, uint64_t start, uint64_t end) {
  Regions replaced;
  EXPECT_TRUE(map.Prepare());
  map.Clear(start, end, [&](const Region& region) {
    replaced.emplace_back(region.start, region.end, region.tag);
  });
  return replaced;
}

TEST(RegionMap, BeginsEmpty) {
  RegionMap map(SystemMemory());
  Region region;
  EXPECT_FALSE(map.FindFrom(0, &region));
  EXPECT_EQ(Read(map), Regions{});
  EXPECT_EQ(Clear(map, 0, 100), Regions{});
}

TEST(RegionMap, AHoleSplitsARegion) {
  RegionMap map(SystemMemory());
  Set(map, 10, 20, 1);
  EXPECT_EQ(Clear(map, 13, 15), (Regions{{13, 15, 1}}));
  EXPECT_EQ(Read(map), (Regions{{10, 13, 1}, {15, 20, 1}}));
  EXPECT_EQ(map.size(), 2u);
}

TEST(RegionMap, ASetReplacesWhatItCovers) {
  RegionMap map(SystemMemory());
  Set(map, 10, 20, 1);
  Set(map, 30, 40, 2);
  EXPECT_EQ(Set(map, 15, 35, 3), (Regions{{15, 20, 1}, {30, 35, 2}}));
  EXPECT_EQ(Read(map), (Regions{{10, 15, 1}, {15, 35, 3}, {35, 40, 2}}));
  EXPECT_EQ(Set(map, 0, 50, 4), (Regions{{10, 15, 1}, {15, 35, 3}, {35, 40, 2}}));
  EXPECT_EQ(Read(map), (Regions{{0, 50, 4}}));
}

TEST(RegionMap, NeighboursOfOneTagAreOneRegion) {
  RegionMap map(SystemMemory());
  Set(map, 10, 20, 1);
  Set(map, 30, 40, 1);
  Set(map, 20, 30, 1);
  EXPECT_EQ(Read(map), (Regions{{10, 40, 1}}));
  Set(map, 15, 25, 1);
  EXPECT_EQ(Read(map), (Regions{{10, 40, 1}}));
  Set(map, 15, 25, 2);
  EXPECT_EQ(Read(map), (Regions{{10, 15, 1}, {15, 25, 2}, {25, 40, 1}}));
}

TEST(RegionMap, FindsTheRegionOrTheNext) {
  RegionMap map(SystemMemory());
  Set(map, 10, 20, 1);
  Region region;
  for (const uint64_t at : {0, 9, 10, 19}) {
    ASSERT_TRUE(map.FindFrom(at, &region)) << at;
    EXPECT_EQ(region.start, 10u);
  }
  EXPECT_FALSE(map.FindFrom(20, &region));
}

struct Source {
  int64_t allocations_left = INT64_MAX;
  int64_t live = 0;

  MemorySource source() {
    return {[](size_t bytes, void* self) -> void* {
              auto& source = *static_cast<Source*>(self);
              if (source.allocations_left-- <= 0) return nullptr;
              ++source.live;
              return malloc(bytes);
            },
            [](void* address, void* self) {
              --static_cast<Source*>(self)->live;
              free(address);
            },
            this};
  }
};

TEST(RegionMap, WithoutMemoryNothingChanges) {
  Source source;
  {
    RegionMap map(source.source());
    source.allocations_left = 1;
    EXPECT_FALSE(map.Prepare());
    source.allocations_left = INT64_MAX;
    EXPECT_TRUE(map.Prepare());
    source.allocations_left = 0;
    map.Set(1, 2, 3, [](const Region&) {});
    EXPECT_EQ(Read(map), (Regions{{1, 2, 3}}));
  }
  EXPECT_EQ(source.live, 0);
}

// One tag for each unit of a small address space.
class Model {
 public:
  static constexpr uint64_t kUnits = 4096;

  Regions Replace(uint64_t start, uint64_t end, uint64_t tag) {
    Regions replaced = RegionsIn(start, end);
    std::fill(tags_ + start, tags_ + end, tag);
    return replaced;
  }
  Regions RegionsIn(uint64_t start, uint64_t end) const {
    Regions regions;
    for (uint64_t at = start; at < end; ++at) {
      if (tags_[at] == 0) continue;
      if (!regions.empty() && std::get<1>(regions.back()) == at &&
          std::get<2>(regions.back()) == tags_[at]) {
        ++std::get<1>(regions.back());
      } else {
        regions.emplace_back(at, at + 1, tags_[at]);
      }
    }
    return regions;
  }

 private:
  uint64_t tags_[kUnits] = {};
};

class RandomRegions : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomRegions, AgreeWithTheModel) {
  std::mt19937_64 random(GetParam());
  Source source;
  {
    RegionMap map(source.source());
    Model model;
    for (int step = 0; step < 60'000; ++step) {
      // Mostly single units, so that there are many chunks; now and then a large sweep.
      const uint64_t start = random() % Model::kUnits;
      const uint64_t most = random() % 64 == 0 ? 600 : random() % 4 == 0 ? 16 : 1;
      const uint64_t end = std::min(Model::kUnits, start + 1 + random() % most);
      const uint64_t tag = random() % 6;
      if (tag == 0 && step % 2 == 0) {
        // A few are copied; where there are more, all stay.
        constexpr uint32_t kMost = 4;
        Region parts[kMost];
        ASSERT_TRUE(map.Prepare());
        const uint32_t count = map.ClearFew(start, end, parts, kMost);
        const Regions expected = model.RegionsIn(start, end);
        ASSERT_EQ(count, expected.size()) << "step " << step;
        if (count <= kMost) {
          model.Replace(start, end, 0);
          for (uint32_t i = 0; i < count; ++i) {
            ASSERT_EQ(std::make_tuple(parts[i].start, parts[i].end, parts[i].tag), expected[i]);
          }
        }
      } else if (tag == 0) {
        ASSERT_EQ(Clear(map, start, end), model.Replace(start, end, 0)) << "step " << step;
      } else {
        ASSERT_EQ(Set(map, start, end, tag), model.Replace(start, end, tag)) << "step " << step;
      }
      if (step % 512 == 0) {
        const Regions expected = model.RegionsIn(0, Model::kUnits);
        ASSERT_EQ(Read(map), expected) << "step " << step;
        ASSERT_EQ(map.size(), expected.size());
        Region found;
        const auto first = std::find_if(expected.begin(), expected.end(), [&](const auto& region) {
          return std::get<1>(region) > start;
        });
        ASSERT_EQ(map.FindFrom(start, &found), first != expected.end());
        if (first != expected.end()) {
          ASSERT_EQ(found.start, std::get<0>(*first));
        }
      }
    }
    Clear(map, 0, Model::kUnits);
    EXPECT_EQ(map.size(), 0u);
  }
  EXPECT_EQ(source.live, 0);
}

INSTANTIATE_TEST_SUITE_P(, RandomRegions, testing::Values(1, 20240607, 4711),
                         [](const auto& info) { return "seed_" + std::to_string(info.param); });

TEST(RegionMap, HoldsAMillionRegions) {
  RegionMap map(SystemMemory());
  constexpr uint64_t kRegions = 1'000'000;
  // A stride that visits all, far apart.
  constexpr uint64_t kStride = 618'033;
  for (uint64_t i = 0, at = 0; i < kRegions; ++i, at = (at + kStride) % kRegions) {
    ASSERT_TRUE(map.Prepare());
    map.Set(at * 2, at * 2 + 1, 7, [](const Region&) { FAIL(); });
  }
  EXPECT_EQ(map.size(), kRegions);
  uint64_t next = 0;
  map.ForEach([&](const Region& region) {
    ASSERT_EQ(region.start, next);
    next += 2;
  });
  uint64_t removed = 0;
  ASSERT_TRUE(map.Prepare());
  map.Clear(10, 2 * kRegions - 10, [&](const Region&) { ++removed; });
  EXPECT_EQ(removed, kRegions - 10);
  EXPECT_EQ(map.size(), 10u);
}

}  // namespace
}  // namespace taskmem
