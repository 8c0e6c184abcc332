#include "accounting/tasks/task_book.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

// A book that draws on no pool.
void SetQuota(TaskBook& book, uint64_t quota_bytes) {
  book.quota_bytes = quota_bytes;
  book.granted_bytes = kNoPool;
}

bool Charges(TaskBook& book, uint64_t bytes) {
  const ChargeOutcome outcome = book.TryCharge(bytes);
  EXPECT_NE(outcome, ChargeOutcome::kOverGrant);
  return outcome == ChargeOutcome::kCharged;
}

TEST(TaskBook, ChargesUpToTheQuotaToTheByte) {
  TaskBook book = {};
  SetQuota(book, 100);
  EXPECT_TRUE(Charges(book, 60));
  EXPECT_FALSE(Charges(book, 41));
  EXPECT_EQ(book.charged_bytes, 60u) << "a refused charge changes nothing";
  EXPECT_TRUE(Charges(book, 40));
  EXPECT_FALSE(Charges(book, 1));
  EXPECT_TRUE(Charges(book, 0));
  EXPECT_EQ(book.Credit(1), 99u);
  EXPECT_TRUE(Charges(book, 1));
  EXPECT_EQ(book.Overdraft(), 0u);
  EXPECT_EQ(book.overdrafts, 0u);
}

TEST(TaskBook, NoSumWrapsAround) {
  TaskBook book = {};
  SetQuota(book, 100);
  EXPECT_TRUE(Charges(book, 10));
  EXPECT_FALSE(Charges(book, UINT64_MAX));
  EXPECT_FALSE(Charges(book, UINT64_MAX - 9));
  SetQuota(book, kNoQuota);
  EXPECT_FALSE(Charges(book, UINT64_MAX));
  EXPECT_TRUE(Charges(book, UINT64_MAX - 10));
  EXPECT_EQ(book.charged_bytes, UINT64_MAX);
  EXPECT_FALSE(Charges(book, 1));
}

TEST(TaskBook, ALoweredQuotaRefusesGrowthAndTakesNothing) {
  TaskBook book = {};
  SetQuota(book, 100);
  EXPECT_TRUE(Charges(book, 80));
  SetQuota(book, 50);
  EXPECT_EQ(book.charged_bytes, 80u);
  EXPECT_EQ(book.Overdraft(), 30u);
  EXPECT_FALSE(Charges(book, 1));
  EXPECT_FALSE(Charges(book, 0)) << "it is above its quota";
  EXPECT_EQ(book.Credit(40), 40u);
  EXPECT_EQ(book.Overdraft(), 0u);
  EXPECT_TRUE(Charges(book, 10));
  EXPECT_FALSE(Charges(book, 1));
}

TEST(TaskBook, ChargesOverTheQuotaAreCounted) {
  TaskBook book = {};
  SetQuota(book, 100);
  EXPECT_EQ(book.ChargeOverQuota(100), 100u);
  EXPECT_EQ(book.overdrafts, 0u) << "within the quota";
  EXPECT_EQ(book.ChargeOverQuota(30), 130u);
  EXPECT_EQ(book.overdrafts, 1u);
  EXPECT_EQ(book.Overdraft(), 30u);
  EXPECT_EQ(book.peak_overdraft_bytes, 30u);
  book.Credit(20);
  EXPECT_EQ(book.Overdraft(), 10u);
  book.ChargeOverQuota(1);
  EXPECT_EQ(book.overdrafts, 2u);
  EXPECT_EQ(book.peak_overdraft_bytes, 30u) << "a peak stays";
}

TEST(TaskBook, ChargesUpToWhatIsGrantedToTheByte) {
  TaskBook book = {};
  SetQuota(book, 1000);
  book.granted_bytes = 100;
  EXPECT_EQ(book.TryCharge(60), ChargeOutcome::kCharged);
  EXPECT_EQ(book.TryCharge(41), ChargeOutcome::kOverGrant);
  EXPECT_EQ(book.charged_bytes, 60u) << "nothing is charged then";
  EXPECT_EQ(book.peak_charged_bytes, 60u);
  EXPECT_EQ(book.TryCharge(40), ChargeOutcome::kCharged);
  EXPECT_EQ(book.TryCharge(1), ChargeOutcome::kOverGrant);
  EXPECT_EQ(book.TryCharge(0), ChargeOutcome::kCharged);
  EXPECT_EQ(book.TryCharge(UINT64_MAX), ChargeOutcome::kOverQuota) << "the quota comes first";
  book.granted_bytes = 2000;
  EXPECT_EQ(book.TryCharge(900), ChargeOutcome::kCharged);
  EXPECT_EQ(book.TryCharge(1), ChargeOutcome::kOverQuota);
}

TEST(TaskBook, WhatIsChargedBeyondTheGrantRefusesMore) {
  TaskBook book = {};
  SetQuota(book, kNoQuota);
  book.granted_bytes = 100;
  EXPECT_EQ(book.ChargeOverQuota(150), 150u);
  EXPECT_EQ(book.overdrafts, 0u) << "an overdraft is what passes the quota";
  EXPECT_EQ(book.TryCharge(0), ChargeOutcome::kOverGrant);
  EXPECT_EQ(book.Credit(60), 90u);
  EXPECT_EQ(book.TryCharge(10), ChargeOutcome::kCharged);
}

TEST(TaskBook, PeakIsTheMostItEverHeld) {
  TaskBook book = {};
  SetQuota(book, 100);
  EXPECT_TRUE(Charges(book, 70));
  book.Credit(50);
  EXPECT_TRUE(Charges(book, 30));
  EXPECT_EQ(book.peak_charged_bytes, 70u);
  book.ChargeOverQuota(100);
  EXPECT_EQ(book.peak_charged_bytes, 150u);
  EXPECT_FALSE(Charges(book, 1000));
  EXPECT_EQ(book.peak_charged_bytes, 150u);
}

TEST(TaskBook, ThreadsNeverPassTheQuotaTogether) {
  constexpr uint64_t kQuota = 1000;
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  TaskBook book = {};
  SetQuota(book, kQuota);
  std::atomic<uint64_t> held{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      uint64_t mine = 0;
      for (uint64_t round = 0; round < kRounds; ++round) {
        const uint64_t bytes = (round * 37 + static_cast<uint64_t>(i)) % 400;
        if (Charges(book, bytes)) {
          mine += bytes;
        } else {
          ++refused;
          book.Credit(mine);
          mine = 0;
        }
        if (book.charged_bytes > kQuota) {
          ADD_FAILURE() << book.charged_bytes;
          return;
        }
      }
      held += mine;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(book.charged_bytes, held);
  EXPECT_LE(book.peak_charged_bytes, kQuota);
  EXPECT_GT(refused, 0);
}

// Who takes grants back lowers granted_bytes and then looks at charged_bytes.
TEST(TaskBook, AGrantThatIsTakenBackIsNotChargedToo) {
  constexpr int kRounds = 200'000;
  TaskBook book = {};
  SetQuota(book, kNoQuota);
  std::atomic<bool> taken{false};
  std::atomic<bool> stop{false};
  std::thread charger([&] {
    while (!stop) {
      if (book.TryCharge(10) != ChargeOutcome::kCharged) continue;
      if (taken) ADD_FAILURE() << "charged to what was taken back";
      book.Credit(10);
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    taken = false;
    book.granted_bytes = 10;
    book.granted_bytes = 0;
    taken = book.charged_bytes == 0;
  }
  stop = true;
  charger.join();
  EXPECT_EQ(book.charged_bytes, 0u);
}

TEST(TaskBook, ThreadsThatGoOverTheQuotaLoseNoByte) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 20'000;
  TaskBook book = {};
  SetQuota(book, 1);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        book.ChargeOverQuota(3);
        book.Credit(2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(book.charged_bytes, kThreads * kRounds);
  EXPECT_EQ(book.overdrafts, kThreads * kRounds);
  EXPECT_EQ(book.Overdraft(), kThreads * kRounds - 1);
  EXPECT_GE(book.peak_charged_bytes, kThreads * kRounds);
  EXPECT_EQ(book.peak_overdraft_bytes, book.peak_charged_bytes - 1);
}

}  // namespace
}  // namespace taskmem
