#include "tools/remote/mapped_ranges.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "accounting/mappings/mapping_book.h"

namespace taskmem {
namespace {

struct TestLibrary {
  char name[24];
  Allocator allocator;
};

// A book in this process, read as another's would be.
class MappedRangesTest : public ::testing::Test {
 protected:
  MappedRangesTest()
      : book_({[](size_t bytes, void* taken) {
                 auto& all = *static_cast<std::vector<std::unique_ptr<char[]>>*>(taken);
                 return static_cast<void*>(all.emplace_back(new char[bytes]()).get());
               },
               [](void*, void*) {}, &taken_}) {
    book_.Describe(&layout_.mappings);
    layout_.libraries = reinterpret_cast<uint64_t>(libraries_);
    layout_.library_count = reinterpret_cast<uint64_t>(&library_count_);
    layout_.library_bytes = sizeof(TestLibrary);
    layout_.library_name_bytes = sizeof(TestLibrary::name);
    layout_.library_allocator_at = offsetof(TestLibrary, allocator);
  }

  void Map(uint64_t start, uint64_t end, uint32_t slot, uint32_t library = 0) {
    MappingEvent event = {.kind = MappingEvent::Kind::kMapped, .start = start, .end = end};
    event.tag.slot = slot;
    event.tag.library = library;
    Apply(event);
  }
  void Unmap(uint64_t start, uint64_t end) {
    Apply({.kind = MappingEvent::Kind::kUnmapped, .start = start, .end = end});
  }
  void Apply(const MappingEvent& event) {
    LengthChanges changes([](uint32_t, int64_t) {});
    book_.Apply(event, &changes);
  }

  MappedRanges Read() { return ReadMappedRanges(RemoteMemory(getpid()), layout_); }

  std::vector<std::unique_ptr<char[]>> taken_;  // readers may still look at what was given back
  MappingBook book_;
  AuditLayout layout_ = {};
  TestLibrary libraries_[2] = {{"unknown", Allocator::kNone},
                               {"jemalloc in liba.so", Allocator::kJemalloc}};
  uint32_t library_count_ = 2;
};

TEST_F(MappedRangesTest, AreReadWithTheirTagsAndLibraries) {
  Map(0x10000, 0x20000, 5, 1);
  Map(0x20000, 0x30000, 6);
  Unmap(0x14000, 0x15000);
  const MappedRanges mapped = Read();
  ASSERT_EQ(mapped.ranges.size(), 3u);
  EXPECT_EQ(mapped.ranges[0].end, 0x14000u);
  EXPECT_EQ(mapped.ranges[1].start, 0x15000u);
  EXPECT_EQ(mapped.ranges[1].tag.slot, 5u);
  EXPECT_EQ(mapped.LibraryOf(mapped.ranges[1].tag).name, "jemalloc in liba.so");
  EXPECT_EQ(mapped.LibraryOf(mapped.ranges[1].tag).allocator, Allocator::kJemalloc);
  EXPECT_EQ(mapped.ranges[2].tag.slot, 6u);
  EXPECT_EQ(mapped.LibraryOf(mapped.ranges[2].tag).name, "unknown");
}

TEST_F(MappedRangesTest, OfAProcessThatSaysNothingAreNone) {
  EXPECT_TRUE(Read().ranges.empty());
  Map(0x10000, 0x20000, 5);
  layout_.mappings.map = 0x1000;
  EXPECT_TRUE(Read().ranges.empty());
  layout_ = {};
  EXPECT_TRUE(Read().ranges.empty());
}

TEST_F(MappedRangesTest, AreAllReadWhereThereAreMany) {
  constexpr uint64_t kCount = 100'000;
  for (uint64_t i = 0; i < kCount; ++i) Map(i * 0x2000 + 0x1000, i * 0x2000 + 0x2000, 7);
  const MappedRanges mapped = Read();
  ASSERT_EQ(mapped.ranges.size(), kCount);
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(mapped.ranges[i].start, i * 0x2000 + 0x1000);
}

// The process does not rest: what is read is in order, and what stays is there.
TEST_F(MappedRangesTest, AreInOrderWhileTheyChange) {
  constexpr uint64_t kStays = 0x7f0000000000;
  Map(kStays, kStays + 0x1000, 9);
  std::atomic<bool> ends = false;
  std::thread changes([&] {
    for (uint64_t i = 0; !ends; ++i) {
      const uint64_t start = i * 0x5000 % 0x1000000 + 0x1000;
      Map(start, start + 0x2000, i % 7);
      Unmap(start, start + 0x1000);
    }
  });
  for (int i = 0; i < 200; ++i) {
    const MappedRanges mapped = Read();
    for (size_t k = 1; k < mapped.ranges.size(); ++k) {
      ASSERT_GE(mapped.ranges[k].start, mapped.ranges[k - 1].end);
      ASSERT_GT(mapped.ranges[k].end, mapped.ranges[k].start);
    }
  }
  ends = true;
  changes.join();
  const MappedRanges mapped = Read();
  ASSERT_FALSE(mapped.ranges.empty());
  EXPECT_EQ(mapped.ranges.back().start, kStays);
}

}  // namespace
}  // namespace taskmem
