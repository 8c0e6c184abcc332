#include "tools/audit/claims.h"

#include <gtest/gtest.h>

#include <deque>

#include "accounting/tasks/task_book.h"

namespace taskmem {
namespace {

constexpr uint64_t kEnd = uint64_t{1} << 47;
constexpr uint32_t kSlot = kFirstTaskSlot + 4;

struct Row {
  uint64_t start;
  uint64_t end;
  std::string label;

  bool operator==(const Row&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << std::hex << row.start << '-' << row.end << ' ' << row.label;
}

std::vector<Row> RowsIn(const Claims& claims, uint64_t start = 0, uint64_t end = kEnd) {
  std::vector<Row> rows;
  for (const Claim& claim : claims.In(start, end)) {
    rows.push_back({claim.start, claim.end, *claim.label});
  }
  return rows;
}

void AddFile(Claims* claims, uint64_t start, uint64_t end, const std::string& label) {
  claims->Add(start, end, LedgerClass::kFileMappings, 0, label);
}

TEST(Claims, WhatWasFirstHasIt) {
  Claims claims;
  AddFile(&claims, 0x3000, 0x5000, "a");
  AddFile(&claims, 0x8000, 0x9000, "b");
  AddFile(&claims, 0x1000, 0xa000, "c");
  AddFile(&claims, 0x3000, 0x9000, "d");
  AddFile(&claims, 0x2000, 0xb000, "e");
  AddFile(&claims, 0x9000, 0x9000, "empty");
  EXPECT_EQ(RowsIn(claims), (std::vector<Row>{{0x1000, 0x3000, "c"},
                                              {0x3000, 0x5000, "a"},
                                              {0x5000, 0x8000, "c"},
                                              {0x8000, 0x9000, "b"},
                                              {0x9000, 0xa000, "c"},
                                              {0xa000, 0xb000, "e"}}));
}

TEST(Claims, AreCutToWhatIsAskedFor) {
  Claims claims;
  AddFile(&claims, 0x1000, 0x4000, "a");
  AddFile(&claims, 0x4000, 0x6000, "a");
  AddFile(&claims, 0x7000, 0x8000, "a");
  EXPECT_EQ(RowsIn(claims, 0x2000, 0x7000), (std::vector<Row>{{0x2000, 0x6000, "a"}}));
  EXPECT_EQ(RowsIn(claims, 0x5000, 0x6000), (std::vector<Row>{{0x5000, 0x6000, "a"}}));
  EXPECT_TRUE(RowsIn(claims, 0x6000, 0x7000).empty());
  EXPECT_TRUE(RowsIn(claims, 0x8000, 0x9000).empty());
}

class MappingClaims : public ::testing::Test {
 protected:
  MappingClaims() {
    mapped_.libraries = {{"unknown", Allocator::kNone},
                         {"cc1plus", Allocator::kNone},
                         {"jemalloc in libx.so", Allocator::kJemalloc},
                         {"JVM in libjvm.so", Allocator::kJvm}};
  }

  // The only claim that a mapping of this kind makes; its label is empty where it makes none.
  Claim ClaimOf(const MappingTag& tag) {
    mapped_.ranges = {{0x1000, 0x2000, tag}};
    claims_.emplace_back();
    claims_.back().AddMappings(mapped_);
    const std::vector<Claim> found = claims_.back().In(0, kEnd);
    return found.empty() ? Claim() : found[0];
  }

  static MappingTag Tag(MappingClass kind, ChargeRule rule, uint32_t slot, uint32_t library) {
    MappingTag tag;
    tag.kind = kind;
    tag.rule = rule;
    tag.slot = slot;
    tag.library = library;
    return tag;
  }

  void Expect(const Claim& claim, LedgerClass ledger_class, uint32_t slot,
              const std::string& label) {
    ASSERT_NE(claim.label, nullptr) << label;
    EXPECT_EQ(claim.ledger_class, ledger_class) << label;
    EXPECT_EQ(claim.slot, slot) << label;
    EXPECT_EQ(*claim.label, label);
  }

  MappedRanges mapped_;
  std::deque<Claims> claims_;
};

TEST_F(MappingClaims, AreTheTasksOrNobodys) {
  Expect(ClaimOf(Tag(MappingClass::kAnonymous, ChargeRule::kLength, kSlot, 1)),
         LedgerClass::kTaskMappings, kSlot, "cc1plus");
  Expect(ClaimOf(Tag(MappingClass::kAnonymous, ChargeRule::kNone, kUntrackedSlot, 2)),
         LedgerClass::kUntrackedMappings, 0, "jemalloc in libx.so");
  Expect(ClaimOf(Tag(MappingClass::kBreak, ChargeRule::kLength, kSlot, 1)),
         LedgerClass::kTaskMappings, kSlot, "brk heap of cc1plus");
  Expect(ClaimOf(Tag(MappingClass::kSharedAnonymous, ChargeRule::kResidency, kSlot, 0)),
         LedgerClass::kTaskMappings, kSlot, "shared memory of an unnamed caller");
  Expect(ClaimOf(Tag(MappingClass::kFilePrivate, ChargeRule::kLength, kSlot, 1)),
         LedgerClass::kTaskMappings, kSlot, "cc1plus");
}

TEST_F(MappingClaims, OfARuntimeAreItsHeap) {
  Expect(ClaimOf(Tag(MappingClass::kAnonymous, ChargeRule::kResidency, kSlot, 3)),
         LedgerClass::kManagedHeap, 0, "JVM tables");
  Expect(ClaimOf(Tag(MappingClass::kSharedAnonymous, ChargeRule::kResidency, kSlot, 3)),
         LedgerClass::kManagedHeap, 0, "JVM heap");
}

TEST_F(MappingClaims, OfAJvmAreDividedAsItSays) {
  mapped_.ranges = {{0x1000, 0x6000, Tag(MappingClass::kAnonymous, ChargeRule::kResidency, 0, 3)},
                    {0x8000, 0x9000, Tag(MappingClass::kAnonymous, ChargeRule::kLength, 0, 1)}};
  Claims claims;
  claims.AddMappings(mapped_, {{0x2000, 0x4000, "JVM heap"}, {0x3000, 0xa000, "JVM metaspace"}});
  EXPECT_EQ(RowsIn(claims), (std::vector<Row>{{0x1000, 0x2000, "JVM tables"},
                                              {0x2000, 0x4000, "JVM heap"},
                                              {0x4000, 0x6000, "JVM metaspace"},
                                              {0x8000, 0x9000, "cc1plus"}}));
}

TEST_F(MappingClaims, OfCachedBlocksAreTheStorages) {
  Expect(ClaimOf(Tag(MappingClass::kAnonymous, ChargeRule::kShown, kStorageSlot, 0)),
         LedgerClass::kTaskMappings, kStorageSlot, "cached blocks");
}

TEST_F(MappingClaims, LeaveFilesAndOthersMemoryToTheKernelsNames) {
  EXPECT_EQ(ClaimOf(Tag(MappingClass::kFileShared, ChargeRule::kShown, kSlot, 1)).label, nullptr);
  EXPECT_EQ(ClaimOf(Tag(MappingClass::kFilePrivate, ChargeRule::kShown, kSlot, 1)).label, nullptr);
  EXPECT_EQ(ClaimOf(Tag(MappingClass::kSystemV, ChargeRule::kShown, kSlot, 1)).label, nullptr);
}

TEST_F(MappingClaims, OfALibraryThatIsNotListed) {
  Expect(ClaimOf(Tag(MappingClass::kAnonymous, ChargeRule::kLength, kSlot, 77)),
         LedgerClass::kTaskMappings, kSlot, "an unnamed caller");
}

}  // namespace
}  // namespace taskmem
