#include "accounting/mappings/mapping_book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "accounting/audit/site_table.h"

namespace taskmem {
namespace {

using Kind = MappingEvent::Kind;

constexpr uint32_t kA = 4;
constexpr uint32_t kB = 5;
constexpr uint8_t kReadWrite = kMayRead | kMayWrite;

std::map<uint32_t, int64_t> g_charged;

void ApplyToCharged(uint32_t slot, int64_t bytes) {
  g_charged[slot] += bytes;
  if (g_charged[slot] == 0) g_charged.erase(slot);
}

using Charged = std::map<uint32_t, int64_t>;

// A tag as mmap would make it.
MappingTag Tag(uint32_t slot, uint8_t protection, MappingClass kind = MappingClass::kAnonymous,
               bool is_sparse = false) {
  MappingTag tag;
  tag.slot = slot;
  tag.kind = kind;
  tag.protection = protection;
  tag.is_sparse = is_sparse;
  tag.rule = tag.RuleWhenMapped();
  return tag;
}

class Book : public ::testing::Test {
 protected:
  Book() { g_charged.clear(); }

  void Apply(const MappingEvent& event) {
    LengthChanges changes(ApplyToCharged);
    book_.Apply(event, &changes);
    changes.ApplyAll();
  }
  void Map(uint64_t start, uint64_t end, const MappingTag& tag) {
    Apply({.kind = Kind::kMapped, .start = start, .end = end, .tag = tag});
  }
  void Unmap(uint64_t start, uint64_t end) {
    Apply({.kind = Kind::kUnmapped, .start = start, .end = end});
  }
  void Protect(uint64_t start, uint64_t end, uint8_t protection, uint32_t by) {
    Apply({.kind = Kind::kProtected, .start = start, .end = end, .tag = Tag(by, protection)});
  }
  void Return(uint64_t start, uint64_t end) {
    Apply({.kind = Kind::kReturned, .start = start, .end = end});
  }
  void Move(uint64_t start, uint64_t end, uint64_t to_start, uint64_t to_end, uint32_t by,
            bool keeps_source = false) {
    Apply({.kind = Kind::kMoved,
           .keeps_source = keeps_source,
           .start = start,
           .end = end,
           .to_start = to_start,
           .to_end = to_end,
           .tag = Tag(by, 0)});
  }

  MappingBook book_{SystemMemory()};
};

TEST(MappingTag, PacksWhatItHolds) {
  MappingTag tag;
  tag.slot = 65534;
  tag.library = 1023;
  tag.kind = MappingClass::kSystemV;
  tag.rule = ChargeRule::kShown;
  tag.protection = 7;
  tag.is_sparse = true;
  tag.leaves_at_fork = true;
  tag.serial = 255;
  tag.keeps_owner = true;
  tag.grows_down = true;
  tag.site = kSiteIndexSize;
  const MappingTag back = MappingTag::Unpack(tag.Pack());
  EXPECT_EQ(back.slot, 65534u);
  EXPECT_EQ(back.library, 1023u);
  EXPECT_EQ(back.kind, MappingClass::kSystemV);
  EXPECT_EQ(back.rule, ChargeRule::kShown);
  EXPECT_EQ(back.protection, 7);
  EXPECT_TRUE(back.is_sparse);
  EXPECT_TRUE(back.leaves_at_fork);
  EXPECT_EQ(back.serial, 255);
  EXPECT_TRUE(back.keeps_owner);
  EXPECT_TRUE(back.grows_down);
  EXPECT_EQ(back.site, kSiteIndexSize);
  EXPECT_EQ(MappingTag::Unpack(0).Pack(), 0u);
}

TEST(MappingTag, IsChargedByWhatItIs) {
  using enum MappingClass;
  using enum ChargeRule;
  const auto rule = [](MappingClass kind, uint8_t protection, bool is_sparse) {
    return Tag(kA, protection, kind, is_sparse).rule;
  };
  EXPECT_EQ(rule(kAnonymous, kReadWrite, false), kLength);
  EXPECT_EQ(rule(kAnonymous, kMayRead, false), kNone);
  EXPECT_EQ(rule(kAnonymous, 0, true), kNone);
  EXPECT_EQ(rule(kAnonymous, kMayWrite, true), kResidency);
  EXPECT_EQ(rule(kSharedAnonymous, kReadWrite, false), kResidency);
  EXPECT_EQ(rule(kSharedAnonymous, 0, false), kNone);
  EXPECT_EQ(rule(kFilePrivate, kMayRead, false), kShown);
  EXPECT_EQ(rule(kFilePrivate, kReadWrite, false), kResidency);
  EXPECT_EQ(rule(kFileShared, kReadWrite, false), kShown);
  EXPECT_EQ(rule(kBreak, kReadWrite, false), kLength);
}

TEST_F(Book, AReservationIsChargedToWhoMakesItWritable) {
  Map(100, 200, Tag(kA, 0));
  EXPECT_EQ(g_charged, Charged{});
  EXPECT_EQ(book_.LengthToBecomeWritable(90, 150), 50u);
  Protect(120, 150, kReadWrite, kB);
  EXPECT_EQ(g_charged, (Charged{{kB, 30}}));
  EXPECT_EQ(book_.LengthToBecomeWritable(90, 150), 20u);
  // It stays whose it is, whoever protects it, and whether it can be written or not.
  Protect(110, 160, 0, kA);
  Protect(110, 160, kReadWrite, kA);
  EXPECT_EQ(g_charged, (Charged{{kA, 20}, {kB, 30}}));
  Unmap(0, 1000);
  EXPECT_EQ(g_charged, Charged{});
  EXPECT_EQ(book_.ranges(), 0u);
}

TEST_F(Book, AnAllocatorsReservationStaysItsOwn) {
  MappingTag tag = Tag(kA, 0);
  tag.keeps_owner = true;
  Map(100, 200, tag);
  Protect(120, 150, kReadWrite, kB);
  EXPECT_EQ(g_charged, (Charged{{kA, 30}}));
}

TEST_F(Book, AMappingOverAnotherChargesTheDifference) {
  Map(0, 100, Tag(kA, kReadWrite));
  Map(50, 150, Tag(kB, kReadWrite));
  EXPECT_EQ(g_charged, (Charged{{kA, 50}, {kB, 100}}));
  EXPECT_EQ(book_.ChargedLength(0, 150, kA), 50u);
  Map(0, 150, Tag(kA, 0));
  EXPECT_EQ(g_charged, Charged{});
  EXPECT_EQ(book_.bytes(ChargeRule::kNone), 150u);
}

TEST_F(Book, WhatIsReturnedCountsByResidency) {
  Map(0, 100, Tag(kA, kReadWrite));
  Return(40, 60);
  EXPECT_EQ(g_charged, (Charged{{kA, 80}}));
  EXPECT_EQ(book_.bytes(ChargeRule::kResidency), 20u);
  Map(200, 300, Tag(kA, kReadWrite, MappingClass::kFilePrivate));
  Return(200, 300);
  EXPECT_EQ(g_charged, (Charged{{kA, 80}}));
  EXPECT_EQ(book_.bytes(ChargeRule::kResidency), 120u);
}

TEST_F(Book, GrowthIsChargedToWhoGrows) {
  Map(0, 100, Tag(kA, kReadWrite));
  EXPECT_EQ(book_.LengthToGrow(100, 50), 50u);
  Move(0, 100, 0, 150, kB);
  EXPECT_EQ(g_charged, (Charged{{kA, 100}, {kB, 50}}));
  Move(0, 150, 1000, 1200, kA);
  EXPECT_EQ(g_charged, (Charged{{kA, 150}, {kB, 50}}));
  Move(1000, 1200, 1000, 1020, kB);
  EXPECT_EQ(g_charged, (Charged{{kA, 20}}));
  EXPECT_EQ(book_.LengthToGrow(1021, 50), 0u);
}

TEST_F(Book, AMoveReplacesItsTarget) {
  Map(0, 100, Tag(kA, kReadWrite));
  Map(500, 700, Tag(kB, kReadWrite));
  Move(0, 100, 550, 650, kB);
  EXPECT_EQ(g_charged, (Charged{{kA, 100}, {kB, 100}}));
}

TEST_F(Book, AMoveThatShrinksGivesTheRestUp) {
  Map(0, 60, Tag(kA, kReadWrite));
  Map(60, 100, Tag(kB, kReadWrite));
  Move(0, 100, 500, 570, kA);
  EXPECT_EQ(g_charged, (Charged{{kA, 60}, {kB, 10}}));
}

TEST_F(Book, ASourceThatStaysIsEmpty) {
  Map(0, 100, Tag(kA, kReadWrite));
  Move(0, 100, 500, 600, kB, true);
  EXPECT_EQ(g_charged, (Charged{{kA, 100}}));
  EXPECT_EQ(book_.bytes(ChargeRule::kResidency), 100u);
  EXPECT_EQ(book_.ranges(), 2u);
}

TEST_F(Book, ADuplicateIsHeldOnce) {
  Map(0, 100, Tag(kA, kReadWrite, MappingClass::kSharedAnonymous));
  Move(20, 20, 500, 550, kB, true);
  EXPECT_EQ(book_.bytes(ChargeRule::kResidency), 100u);
  EXPECT_EQ(book_.bytes(ChargeRule::kShown), 50u);
  // Of what is not known, nothing becomes known.
  Move(3000, 3000, 4000, 4050, kB, true);
  Move(3000, 3010, 5000, 5050, kB);
  EXPECT_EQ(book_.ranges(), 2u);
}

TEST_F(Book, AForkedChildKeepsWhatItInherits) {
  Map(0, 100, Tag(kA, kReadWrite));
  Map(100, 200, Tag(kA, kReadWrite, MappingClass::kSharedAnonymous));
  MappingTag leaves;
  leaves.leaves_at_fork = true;
  Apply({.kind = Kind::kLeavesAtFork, .start = 20, .end = 50, .tag = leaves});
  EXPECT_EQ(g_charged, (Charged{{kA, 100}}));
  LengthChanges changes(ApplyToCharged);
  book_.AfterFork(&changes);
  changes.ApplyAll();
  EXPECT_EQ(g_charged, (Charged{{kA, 70}}));
  EXPECT_EQ(book_.bytes(ChargeRule::kResidency), 0u);
  EXPECT_EQ(book_.bytes(ChargeRule::kShown), 100u);
}

TEST_F(Book, FoldsTheSlotsOfEndedTasks) {
  for (uint64_t i = 0; i < 100; ++i) {
    Map(i * 10, i * 10 + 5, Tag(static_cast<uint32_t>(10 + i), kReadWrite));
  }
  LengthChanges changes(ApplyToCharged);
  book_.Fold([](uint32_t slot) { return slot < 60; }, 1, &changes);
  changes.ApplyAll();
  EXPECT_EQ(g_charged.size(), 51u);
  EXPECT_EQ(g_charged[1], 250);
}

TEST(MappingBook, WithoutMemoryAnEventIsLostAndCounted) {
  MappingBook book({[](size_t, void*) -> void* { return nullptr; }, [](void*, void*) {}, nullptr});
  LengthChanges changes([](uint32_t, int64_t) { FAIL(); });
  book.Apply({.start = 0, .end = 10, .tag = Tag(kA, kReadWrite)}, &changes);
  EXPECT_EQ(changes.count(), 0);
  EXPECT_EQ(book.lost_events(), 1u);
}

TEST_F(Book, WhatWasTakenIsPutBackAsItWas) {
  Map(0, 10, Tag(kA, kReadWrite));
  Map(10, 20, Tag(kB, kReadWrite));
  Map(30, 40, Tag(kA, 0));
  Region parts[4];
  LengthChanges changes(ApplyToCharged);
  EXPECT_EQ(book_.TakeFew(5, 35, parts, 2, &changes), 3u);
  EXPECT_EQ(changes.count(), 0);
  EXPECT_EQ(book_.ranges(), 3u);
  ASSERT_EQ(book_.TakeFew(5, 35, parts, 4, &changes), 3u);
  EXPECT_EQ(book_.ranges(), 2u);
  EXPECT_EQ(book_.bytes(ChargeRule::kLength), 5u);
  book_.PutBack(parts, 3, &changes);
  changes.ApplyAll();
  EXPECT_EQ(g_charged, (Charged{{kA, 10}, {kB, 10}}));
  EXPECT_EQ(book_.ranges(), 3u);
  EXPECT_EQ(book_.TakeFew(50, 60, parts, 4, &changes), 0u);
}

// The same rules for one unit of address space at a time.
class Model {
 public:
  static constexpr uint64_t kUnits = 2048;

  void Apply(const MappingEvent& event) {
    switch (event.kind) {
      case Kind::kMapped:
        for (uint64_t i = event.start; i < event.end; ++i) units_[i] = event.tag;
        break;
      case Kind::kUnmapped:
        for (uint64_t i = event.start; i < event.end; ++i) units_[i].reset();
        break;
      case Kind::kProtected:
        for (uint64_t i = event.start; i < event.end; ++i) {
          if (!units_[i]) continue;
          MappingTag& tag = *units_[i];
          tag.protection = event.tag.protection;
          const bool is_new =
              tag.rule == ChargeRule::kNone ||
              (tag.kind == MappingClass::kFilePrivate && tag.rule == ChargeRule::kShown);
          if (is_new && (tag.protection & kMayWrite) != 0) {
            tag.slot = event.tag.slot;
            tag.rule = tag.kind == MappingClass::kSharedAnonymous ? ChargeRule::kResidency
                       : tag.kind == MappingClass::kFilePrivate   ? ChargeRule::kResidency
                       : tag.kind == MappingClass::kFileShared    ? ChargeRule::kShown
                       : tag.is_sparse                            ? ChargeRule::kResidency
                                                                  : ChargeRule::kLength;
          }
        }
        break;
      case Kind::kReturned:
        for (uint64_t i = event.start; i < event.end; ++i) {
          if (units_[i] && units_[i]->kind == MappingClass::kAnonymous &&
              units_[i]->rule == ChargeRule::kLength) {
            units_[i]->rule = ChargeRule::kResidency;
          }
        }
        break;
      case Kind::kMoved: {
        std::vector<std::optional<MappingTag>> source(units_.begin() + event.start,
                                                      units_.begin() + event.end);
        for (uint64_t i = event.start; i < event.end; ++i) {
          if (!event.keeps_source) {
            units_[i].reset();
          } else if (units_[i] && units_[i]->rule == ChargeRule::kLength) {
            units_[i]->rule = ChargeRule::kResidency;
          }
        }
        const bool leaves_holes =
            source.size() == event.to_end - event.to_start &&
            std::any_of(source.begin(), source.end(), [](const auto& unit) { return !!unit; });
        std::optional<MappingTag> growth = source.back();
        if (growth) growth->slot = event.tag.slot;
        source.resize(event.to_end - event.to_start, growth);
        for (uint64_t i = 0; i < source.size(); ++i) {
          if (source[i] || !leaves_holes) units_[event.to_start + i] = source[i];
        }
        break;
      }
      case Kind::kLeavesAtFork:
        for (uint64_t i = event.start; i < event.end; ++i) {
          if (units_[i]) units_[i]->leaves_at_fork = event.tag.leaves_at_fork;
        }
        break;
    }
  }

  std::vector<uint64_t> Tags() const {
    std::vector<uint64_t> tags;
    for (const auto& unit : units_) tags.push_back(unit ? unit->Pack() : UINT64_MAX);
    return tags;
  }
  Charged Lengths() const {
    Charged lengths;
    for (const auto& unit : units_) {
      if (unit && unit->rule == ChargeRule::kLength) ++lengths[unit->slot];
    }
    return lengths;
  }

 private:
  std::vector<std::optional<MappingTag>> units_{kUnits};
};

class RandomEvents : public Book, public ::testing::WithParamInterface<uint64_t> {};

TEST_P(RandomEvents, AgreeWithTheModel) {
  std::mt19937_64 random(GetParam());
  Model model;
  const auto range = [&](uint64_t most, uint64_t* start, uint64_t* end) {
    *start = random() % (Model::kUnits - most);
    *end = *start + 1 + random() % most;
  };
  constexpr MappingClass kKinds[] = {MappingClass::kAnonymous, MappingClass::kSharedAnonymous,
                                     MappingClass::kFilePrivate, MappingClass::kFileShared};
  for (int step = 0; step < 60000; ++step) {
    MappingEvent event;
    range(step % 50 == 0 ? 500 : 20, &event.start, &event.end);
    event.tag = Tag(static_cast<uint32_t>(4 + random() % 40), random() % 8, kKinds[random() % 4],
                    random() % 4 == 0);
    event.kind = static_cast<Kind>(random() % 6);
    if (event.kind == Kind::kLeavesAtFork) event.tag.leaves_at_fork = random() % 2 == 0;
    if (event.kind == Kind::kMoved) {
      range(30, &event.to_start, &event.to_end);
      if (random() % 3 == 0) {
        event.to_end += event.start - event.to_start;
        event.to_start = event.start;
        if (event.to_end > Model::kUnits) continue;
      } else {
        if (event.to_start < event.end && event.start < event.to_end) continue;
        event.keeps_source = random() % 4 == 0;
        // The kernel keeps the source only of a move of the same length.
        if (event.keeps_source) event.to_end = event.to_start + (event.end - event.start);
        if (event.to_end > Model::kUnits ||
            (event.to_start < event.end && event.start < event.to_end)) {
          continue;
        }
      }
      // It cannot grow in place over something else.
      if (event.to_start == event.start && event.to_end > event.end) {
        MappingEvent clear = {.kind = Kind::kUnmapped, .start = event.end, .end = event.to_end};
        Apply(clear);
        model.Apply(clear);
      }
    }
    Apply(event);
    model.Apply(event);
    ASSERT_EQ(g_charged, model.Lengths()) << "step " << step;
    if (step % 64 != 0) continue;
    std::vector<uint64_t> tags(Model::kUnits, UINT64_MAX);
    book_.ForEachIn(0, UINT64_MAX, [&](uint64_t start, uint64_t end, const MappingTag& tag) {
      std::fill(tags.begin() + start, tags.begin() + end, tag.Pack());
    });
    ASSERT_EQ(tags, model.Tags()) << "step " << step;
    std::vector<uint64_t> lengths(64);
    book_.AddLengths(lengths.data());
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < lengths.size(); ++slot) {
      sum += lengths[slot];
      ASSERT_EQ(lengths[slot], g_charged.contains(slot) ? g_charged[slot] : 0);
    }
    ASSERT_EQ(book_.bytes(ChargeRule::kLength), sum);
  }
}

INSTANTIATE_TEST_SUITE_P(, RandomEvents, testing::Values(1, 20240607, 4711),
                         [](const auto& info) { return "seed_" + std::to_string(info.param); });

}  // namespace
}  // namespace taskmem
