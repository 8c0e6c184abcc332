#include "shim/mapping_book/residency_charges.h"

#include <gtest/gtest.h>

#include "shim/mapping_book/locked_book.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

constinit BookPlace g_book_place = {};

// The books of these tests: what was charged to each slot, less what was credited.
uint64_t g_charged_bytes[8] = {};
void ChargeMappedOverQuota(uint32_t slot, uint64_t bytes) { g_charged_bytes[slot] += bytes; }
void CreditMapped(uint32_t slot, uint64_t bytes) { g_charged_bytes[slot] -= bytes; }

namespace {

constexpr uint32_t kSlot = kFirstTaskSlot;
constexpr uint32_t kOther = kFirstTaskSlot + 1;

class ResidencyCharges : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_TRUE(StatsOpen());
    g_stats->task_slots.store(8);
    for (uint32_t slot = 0; slot < 8; ++slot) g_books[slot].quota_bytes.store(kNoQuota);
  }
  void TearDown() override {
    SettleFound();  // nothing was found: nothing is charged
    for (const uint64_t bytes : g_charged_bytes) EXPECT_EQ(bytes, 0u);
  }
};

TEST_F(ResidencyCharges, ALookChargesTheDifference) {
  FoundResident(kSlot, 100);
  FoundResident(kSlot, 50);
  FoundResident(kOther, 10);
  EXPECT_EQ(g_charged_bytes[kSlot], 0u) << "not before it ends";
  SettleFound();
  EXPECT_EQ(g_charged_bytes[kSlot], 150u);
  EXPECT_EQ(g_charged_bytes[kOther], 10u);
  EXPECT_EQ(TotalByResidency(), 160u);
  FoundResident(kSlot, 120);
  SettleFound();
  EXPECT_EQ(g_charged_bytes[kSlot], 120u);
  EXPECT_EQ(g_charged_bytes[kOther], 0u);
  EXPECT_EQ(ChargedByResidency(kSlot), 120u);
}

TEST_F(ResidencyCharges, WhatIsGoneIsCreditedAtMostAsItWasCharged) {
  AddResidency(kSlot, 100);
  TakeResidency(kSlot, 30);
  EXPECT_EQ(g_charged_bytes[kSlot], 70u);
  TakeResidency(kSlot, 200);
  EXPECT_EQ(g_charged_bytes[kSlot], 0u);
}

TEST_F(ResidencyCharges, FoldedSlotsPassTheirsOn) {
  AddResidency(kSlot, 100);
  AddResidency(kOther, 5);
  SlotSet from;
  from.Add(kSlot);
  FoldResidency(from, kEndedTasksSlot);
  EXPECT_EQ(g_charged_bytes[kSlot], 0u);
  EXPECT_EQ(g_charged_bytes[kEndedTasksSlot], 100u);
  uint64_t by_slot[kMaxTaskSlots] = {};
  AddResidencyBytes(by_slot);
  EXPECT_EQ(by_slot[kEndedTasksSlot], 100u);
  EXPECT_EQ(by_slot[kOther], 5u);
}

TEST_F(ResidencyCharges, RangesOfATaskWithAQuotaAreToBeLookedAt) {
  EXPECT_FALSE(ResidencyMeetsQuota());
  NoteSparse(kSlot, 1 << 20);
  EXPECT_TRUE(HasResidencyRanges(kSlot));
  EXPECT_FALSE(ResidencyMeetsQuota());
  g_books[kSlot].quota_bytes.store(2 << 20);
  EXPECT_TRUE(ResidencyMeetsQuota());
  EXPECT_FALSE(MayBeNearQuota(kSlot));
  NoteSparse(kSlot, 1 << 20);
  EXPECT_TRUE(MayBeNearQuota(kSlot)) << "if all of it has been touched";
  g_books[kSlot].quota_bytes.store(kNoQuota);
  EXPECT_FALSE(MayBeNearQuota(kSlot));
  FoundRanges(kOther);
  SettleFound();
  EXPECT_FALSE(HasResidencyRanges(kSlot)) << "the look has found none";
  EXPECT_TRUE(HasResidencyRanges(kOther));
}

TEST_F(ResidencyCharges, WhatLeavesIsCountedSinceTheLastLook) {
  const uint64_t looks = EndedLooks();
  EXPECT_EQ(CountLeaving(10), 10u);
  EXPECT_EQ(CountLeaving(5), 15u);
  SettleFound();
  EXPECT_EQ(EndedLooks(), looks + 1);
  EXPECT_EQ(CountLeaving(1), 1u);
}

TEST_F(ResidencyCharges, AForkAmidALookForgetsWhatItFound) {
  FoundResident(kSlot, 100);
  ForgetFound();
  SettleFound();
  EXPECT_EQ(g_charged_bytes[kSlot], 0u);
}

}  // namespace
}  // namespace taskmem
