#include "tools/remote/resident_now.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "accounting/audit/residency_table.h"
#include "accounting/mappings/mapping_book.h"

namespace taskmem {
namespace {

constexpr uint32_t kSlots = kFirstTaskSlot + 3;
constexpr uint32_t kSlot = kFirstTaskSlot;
constexpr uint64_t kBytes = 64 * kPageBytes;

// Books of mappings in this process, read as another's would be.
class ResidentNowTest : public ::testing::Test {
 protected:
  ResidentNowTest()
      : book_({[](size_t bytes, void* taken) {
                 auto& all = *static_cast<std::vector<std::unique_ptr<char[]>>*>(taken);
                 return static_cast<void*>(all.emplace_back(new char[bytes]()).get());
               },
               [](void*, void*) {}, &taken_}),
        table_(std::make_unique<ResidencyTable>()) {
    layout_.version = kAuditVersion;
    book_.Describe(&layout_.mappings);
    layout_.libraries = reinterpret_cast<uint64_t>(libraries_);
    layout_.library_count = reinterpret_cast<uint64_t>(&library_count_);
    layout_.library_bytes = sizeof(libraries_);
    layout_.library_name_bytes = sizeof(libraries_) - 1;
    layout_.library_allocator_at = sizeof(libraries_) - 1;
    layout_.residency = reinterpret_cast<uint64_t>(table_.get());
    layout_.residency_range_bytes = reinterpret_cast<uint64_t>(&range_bytes_);
  }
  ~ResidentNowTest() override {
    for (char* at : mapped_) munmap(at, kBytes);
  }

  // Maps memory that is charged by residency.
  char* Map(uint32_t slot, int flags = MAP_PRIVATE) {
    void* const at =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const auto start = reinterpret_cast<uint64_t>(at);
    Note(start, start + kBytes, slot,
         (flags & MAP_SHARED) != 0 ? MappingClass::kSharedAnonymous : MappingClass::kAnonymous);
    return mapped_.emplace_back(static_cast<char*>(at));
  }
  void Note(uint64_t start, uint64_t end, uint32_t slot, MappingClass kind) {
    MappingEvent event = {.kind = MappingEvent::Kind::kMapped, .start = start, .end = end};
    event.tag.slot = slot;
    event.tag.kind = kind;
    event.tag.is_sparse = true;
    event.tag.protection = kMayRead | kMayWrite;
    event.tag.rule = ChargeRule::kResidency;
    LengthChanges changes([](uint32_t, int64_t) {});
    book_.Apply(event, &changes);
    range_bytes_ += end - start;
  }

  std::optional<ResidentNow> Look(std::chrono::nanoseconds time = RemoteMemory::kPatience) {
    return LookAtResident(getpid(), RemoteMemory(getpid(), time), layout_, kSlots);
  }
  int64_t MoreOf(uint32_t slot) {
    const auto now = Look();
    EXPECT_TRUE(now.has_value());
    return now && !now->more_bytes.empty() ? now->more_bytes[slot] : 0;
  }

  std::vector<std::unique_ptr<char[]>> taken_;
  std::vector<char*> mapped_;
  MappingBook book_;
  std::unique_ptr<ResidencyTable> table_;
  uint64_t range_bytes_ = 0;
  char libraries_[32] = "program";
  uint32_t library_count_ = 1;
  AuditLayout layout_ = {};
};

TEST_F(ResidentNowTest, IsWhatIsInMemoryBeyondWhatIsCharged) {
  EXPECT_TRUE(Look()->more_bytes.empty());
  char* const memory = Map(kSlot);
  EXPECT_TRUE(Look()->more_bytes.empty()) << "nothing of it is in memory";
  memset(memory, 1, 5 * kPageBytes);
  EXPECT_EQ(MoreOf(kSlot), static_cast<int64_t>(5 * kPageBytes));
  table_->charged_bytes[kSlot] = 3 * kPageBytes;
  EXPECT_EQ(MoreOf(kSlot), static_cast<int64_t>(2 * kPageBytes));
  table_->charged_bytes[kSlot] = 7 * kPageBytes;
  EXPECT_EQ(MoreOf(kSlot), -static_cast<int64_t>(2 * kPageBytes));
  EXPECT_EQ(MoreOf(kSlot + 1), 0);
}

TEST_F(ResidentNowTest, SharedMemoryIsOfWhoAloneHasIt) {
  char* const shared = Map(kSlot, MAP_SHARED);
  memset(shared, 1, 5 * kPageBytes);
  EXPECT_EQ(MoreOf(kSlot), static_cast<int64_t>(5 * kPageBytes));
  // It may be in memory and not in the page table here.
  table_->charged_bytes[kSlot] = 7 * kPageBytes;
  EXPECT_EQ(MoreOf(kSlot), 0);
  table_->charged_bytes[kSlot] = 0;
  // The same pages once more, and then another task's.
  const auto again = reinterpret_cast<uint64_t>(mremap(shared, 0, kBytes, MREMAP_MAYMOVE));
  ASSERT_NE(again, reinterpret_cast<uint64_t>(MAP_FAILED));
  mapped_.push_back(reinterpret_cast<char*>(again));
  Note(again, again + kBytes, kSlot, MappingClass::kSharedAnonymous);
  EXPECT_EQ(MoreOf(kSlot), static_cast<int64_t>(5 * kPageBytes));
  Note(again, again + kBytes, kSlot + 1, MappingClass::kSharedAnonymous);
  EXPECT_EQ(MoreOf(kSlot), 0);
  EXPECT_EQ(MoreOf(kSlot + 1), 0);
}

TEST_F(ResidentNowTest, IsNothingWhereTheProcessItselfLooks) {
  memset(Map(kSlot), 1, kPageBytes);
  table_->changes = 1;
  EXPECT_FALSE(Look().has_value());
  table_->changes = 2;
  EXPECT_EQ(Look()->changes, 2u);
}

TEST_F(ResidentNowTest, IsNothingWhereThereIsNoTime) {
  memset(Map(kSlot), 1, kPageBytes);
  EXPECT_FALSE(Look(std::chrono::nanoseconds(0)).has_value());
}

TEST_F(ResidentNowTest, BelievesNothing) {
  memset(Map(kSlot), 1, kPageBytes);
  Note(0x10000, RemoteMemory::kAddressEnd - kPageBytes, kMaxTaskSlots, MappingClass::kAnonymous);
  EXPECT_TRUE(Look().has_value()) << "a slot that does not exist is left out";
  table_->charged_bytes[kSlot] = UINT64_MAX;
  EXPECT_FALSE(Look().has_value());
  table_->charged_bytes[kSlot] = 0;
  for (uint64_t* const word : {&layout_.residency, &layout_.residency_range_bytes}) {
    const uint64_t right = *word;
    for (const uint64_t wrong : {uint64_t{8}, uint64_t{1} << 46, UINT64_MAX, UINT64_MAX - 4096}) {
      *word = wrong;
      EXPECT_FALSE(Look().has_value());
    }
    *word = right;
  }
  layout_.version = 0;
  EXPECT_FALSE(Look().has_value());
}

}  // namespace
}  // namespace taskmem
