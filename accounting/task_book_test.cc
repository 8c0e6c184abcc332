#include "accounting/task_book.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

TaskBook& WithQuota(TaskBook& book, uint64_t quota_bytes) {
  book.quota_bytes = quota_bytes;
  return book;
}

TEST(TaskBook, ChargesUpToTheQuotaToTheByte) {
  TaskBook book = {};
  WithQuota(book, 100);
  EXPECT_TRUE(book.TryCharge(60));
  EXPECT_FALSE(book.TryCharge(41));
  EXPECT_EQ(book.charged_bytes, 60u) << "a refused charge changes nothing";
  EXPECT_TRUE(book.TryCharge(40));
  EXPECT_FALSE(book.TryCharge(1));
  EXPECT_TRUE(book.TryCharge(0));
  EXPECT_EQ(book.Credit(1), 99u);
  EXPECT_TRUE(book.TryCharge(1));
  EXPECT_EQ(book.Overdraft(), 0u);
  EXPECT_EQ(book.overdrafts, 0u);
}

TEST(TaskBook, NoSumWrapsAround) {
  TaskBook book = {};
  WithQuota(book, 100);
  EXPECT_TRUE(book.TryCharge(10));
  EXPECT_FALSE(book.TryCharge(UINT64_MAX));
  EXPECT_FALSE(book.TryCharge(UINT64_MAX - 9));
  WithQuota(book, kNoQuota);
  EXPECT_FALSE(book.TryCharge(UINT64_MAX));
  EXPECT_TRUE(book.TryCharge(UINT64_MAX - 10));
  EXPECT_EQ(book.charged_bytes, UINT64_MAX);
  EXPECT_FALSE(book.TryCharge(1));
}

TEST(TaskBook, ALoweredQuotaRefusesGrowthAndTakesNothing) {
  TaskBook book = {};
  WithQuota(book, 100);
  EXPECT_TRUE(book.TryCharge(80));
  WithQuota(book, 50);
  EXPECT_EQ(book.charged_bytes, 80u);
  EXPECT_EQ(book.Overdraft(), 30u);
  EXPECT_FALSE(book.TryCharge(1));
  EXPECT_FALSE(book.TryCharge(0)) << "it is above its quota";
  EXPECT_EQ(book.Credit(40), 40u);
  EXPECT_EQ(book.Overdraft(), 0u);
  EXPECT_TRUE(book.TryCharge(10));
  EXPECT_FALSE(book.TryCharge(1));
}

TEST(TaskBook, ChargesOverTheQuotaAreCounted) {
  TaskBook book = {};
  WithQuota(book, 100);
  book.ChargeOverQuota(100);
  EXPECT_EQ(book.overdrafts, 0u) << "within the quota";
  book.ChargeOverQuota(30);
  EXPECT_EQ(book.overdrafts, 1u);
  EXPECT_EQ(book.Overdraft(), 30u);
  EXPECT_EQ(book.peak_overdraft_bytes, 30u);
  book.Credit(20);
  EXPECT_EQ(book.Overdraft(), 10u);
  book.ChargeOverQuota(1);
  EXPECT_EQ(book.overdrafts, 2u);
  EXPECT_EQ(book.peak_overdraft_bytes, 30u) << "a peak stays";
}

TEST(TaskBook, PeakIsTheMostItEverHeld) {
  TaskBook book = {};
  WithQuota(book, 100);
  EXPECT_TRUE(book.TryCharge(70));
  book.Credit(50);
  EXPECT_TRUE(book.TryCharge(30));
  EXPECT_EQ(book.peak_charged_bytes, 70u);
  book.ChargeOverQuota(100);
  EXPECT_EQ(book.peak_charged_bytes, 150u);
  EXPECT_FALSE(book.TryCharge(1000));
  EXPECT_EQ(book.peak_charged_bytes, 150u);
}

TEST(TaskBook, ThreadsNeverPassTheQuotaTogether) {
  constexpr uint64_t kQuota = 1000;
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  TaskBook book = {};
  WithQuota(book, kQuota);
  std::atomic<uint64_t> held{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      uint64_t mine = 0;
      for (uint64_t round = 0; round < kRounds; ++round) {
        const uint64_t bytes = (round * 37 + static_cast<uint64_t>(i)) % 400;
        if (book.TryCharge(bytes)) {
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

TEST(TaskBook, ThreadsThatGoOverTheQuotaLoseNoByte) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 20'000;
  TaskBook book = {};
  WithQuota(book, 1);
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
