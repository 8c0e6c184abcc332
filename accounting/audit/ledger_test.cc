#include "accounting/audit/ledger.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace taskmem {
namespace {

std::vector<LedgerShare> Shares(const std::vector<uint64_t>& bytes) {
  std::vector<LedgerShare> shares;
  for (const uint64_t b : bytes) shares.push_back({.bytes = b});
  return shares;
}

uint64_t Sum(const std::vector<LedgerShare>& shares) {
  uint64_t sum = 0;
  for (const LedgerShare& share : shares) sum += share.bytes;
  return sum;
}

TEST(Ledger, NamesEveryClassOnce) {
  std::set<std::string> keys;
  std::set<std::string> names;
  for (size_t i = 0; i < kLedgerClasses; ++i) {
    keys.insert(LedgerClassKey(static_cast<LedgerClass>(i)));
    names.insert(LedgerClassName(static_cast<LedgerClass>(i)));
  }
  EXPECT_EQ(keys.size(), kLedgerClasses);
  EXPECT_EQ(names.size(), kLedgerClasses);
  EXPECT_EQ(names.count("UNKNOWN"), 1u);
}

TEST(Ledger, WhatFitsStaysAndTheRestIsTheRemainder) {
  auto shares = Shares({4096, 100, 0});
  EXPECT_EQ(FitShares(8192, shares.data(), shares.size()), 8192u - 4196);
  EXPECT_EQ(shares[0].bytes, 4096u);
  EXPECT_EQ(shares[1].bytes, 100u);
  EXPECT_EQ(FitShares(77, nullptr, 0), 77u);
}

TEST(Ledger, WhatIsTooMuchIsTakenInProportion) {
  auto shares = Shares({3000, 1000});
  EXPECT_EQ(FitShares(2000, shares.data(), shares.size()), 0u);
  EXPECT_EQ(shares[0].bytes, 1500u);
  EXPECT_EQ(shares[1].bytes, 500u);
  EXPECT_EQ(FitShares(0, shares.data(), shares.size()), 0u);
  EXPECT_EQ(Sum(shares), 0u);
}

TEST(Ledger, AddsUpExactlyWhateverTheShares) {
  for (const uint32_t seed : {1u, 20240607u}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 2000; ++round) {
      std::vector<uint64_t> bytes(random() % 9);
      for (uint64_t& b : bytes) b = random() >> (17 + random() % 47);
      auto shares = Shares(bytes);
      const uint64_t resident = random() >> (17 + random() % 47);
      const uint64_t rest = FitShares(resident, shares.data(), shares.size());
      ASSERT_EQ(Sum(shares) + rest, resident);
      for (size_t i = 0; i < bytes.size(); ++i) ASSERT_LE(shares[i].bytes, bytes[i]);
    }
  }
}

}  // namespace
}  // namespace taskmem
