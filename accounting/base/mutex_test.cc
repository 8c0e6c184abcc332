#include "accounting/base/mutex.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

TEST(Mutex, IsHeldByOneAtATime) {
  Mutex mutex;
  EXPECT_TRUE(mutex.TryLock());
  EXPECT_FALSE(mutex.TryLock());
  mutex.Unlock();
  {
    const MutexLock lock(mutex);
    EXPECT_FALSE(mutex.TryLock());
  }
  EXPECT_TRUE(mutex.TryLock());
  mutex.Unlock();
}

TEST(Mutex, ProtectsWhatThreadsShare) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  Mutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const MutexLock lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

TEST(Mutex, WakesEveryWaiterInTurn) {
  Mutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  mutex.Lock();
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const MutexLock lock(mutex);
      ++count;
    });
  }
  // Time to fall asleep; where it is too short the test still holds.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(count, 0);
  mutex.Unlock();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 3);
  EXPECT_TRUE(mutex.TryLock());
  mutex.Unlock();
}

TEST(Mutex, LeavesErrnoAlone) {
  Mutex mutex;
  mutex.Lock();
  std::thread waiter([&] {
    errno = ERANGE;
    mutex.Lock();
    mutex.Unlock();
    EXPECT_EQ(errno, ERANGE);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  errno = EDOM;
  mutex.Unlock();
  EXPECT_EQ(errno, EDOM);
  waiter.join();
}

TEST(Mutex, SaysWhoHoldsIt) {
  Mutex mutex;
  EXPECT_FALSE(mutex.IsHeldByThisThread());
  mutex.Lock();
  EXPECT_TRUE(mutex.IsHeldByThisThread());
  std::thread([&] { EXPECT_FALSE(mutex.IsHeldByThisThread()); }).join();
  mutex.Unlock();
  EXPECT_FALSE(mutex.IsHeldByThisThread());
}

TEST(Mutex, OfAnotherThreadIsFreeAfterAReset) {
  Mutex mutex;
  std::thread([&] { mutex.Lock(); }).join();
  EXPECT_FALSE(mutex.TryLock());
  mutex.ResetAfterFork();
  EXPECT_TRUE(mutex.TryLock());
  // What a signal handler interrupted goes on.
  mutex.ResetAfterFork();
  EXPECT_TRUE(mutex.IsHeldByThisThread());
  mutex.Unlock();
}

TEST(Mutex, IsGivenBackByTheForkThatTookIt) {
  Mutex mutex;
  EXPECT_TRUE(mutex.LockForFork(kNoDeadline));
  EXPECT_FALSE(mutex.TryLock());
  mutex.UnlockAfterFork();
  mutex.Lock();
  EXPECT_TRUE(mutex.LockForFork(kNoDeadline));
  mutex.UnlockAfterFork();
  EXPECT_TRUE(mutex.IsHeldByThisThread());
  mutex.Unlock();
  EXPECT_TRUE(mutex.LockForFork(kNoDeadline));
  mutex.ResetAfterFork();
  EXPECT_TRUE(mutex.TryLock());
}

TEST(Mutex, OfAnotherThreadIsWaitedForWhilePatienceLasts) {
  Mutex mutex;
  std::thread([&] { mutex.Lock(); }).join();
  EXPECT_FALSE(mutex.LockForFork(1));
  mutex.UnlockAfterFork();
  EXPECT_FALSE(mutex.TryLock());
}

}  // namespace
}  // namespace taskmem
