#include "accounting/base/pi_mutex.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

uint32_t Self() { return static_cast<uint32_t>(syscall(SYS_gettid)); }

TEST(PiMutex, SaysWhoHoldsIt) {
  PiMutex mutex;
  EXPECT_FALSE(mutex.IsHeld());
  EXPECT_TRUE(mutex.TryLock(Self()));
  EXPECT_TRUE(mutex.IsHeldBy(Self()));
  EXPECT_FALSE(mutex.TryLock(Self()));
  std::thread([&] {
    EXPECT_FALSE(mutex.IsHeldBy(Self()));
    EXPECT_FALSE(mutex.TryLock(Self()));
  }).join();
  mutex.Unlock();
  EXPECT_FALSE(mutex.IsHeld());
}

TEST(PiMutex, ProtectsWhatThreadsShare) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  PiMutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const uint32_t self = Self();
      for (int round = 0; round < kRounds; ++round) {
        errno = 123;
        mutex.Lock(self);
        ++count;
        mutex.Unlock();
        EXPECT_EQ(errno, 123);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
  EXPECT_FALSE(mutex.IsHeld());
}

TEST(PiMutex, WakesEveryWaiterInTurn) {
  PiMutex mutex;
  std::atomic<int> count{0};
  mutex.Lock(Self());
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      mutex.Lock(Self());
      ++count;
      mutex.Unlock();
    });
  }
  EXPECT_EQ(count, 0);
  mutex.Unlock();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 3);
}

TEST(PiMutex, OfAThreadThatEndedWithItIsTakenOver) {
  PiMutex mutex;
  std::thread([&] { mutex.Lock(Self()); }).join();
  EXPECT_TRUE(mutex.IsHeld());
  mutex.Lock(Self());
  EXPECT_TRUE(mutex.IsHeldBy(Self()));
  mutex.Unlock();
  EXPECT_TRUE(mutex.TryLock(Self()));
}

TEST(PiMutex, WaitersOfAThreadThatEndsWithItGoOn) {
  PiMutex mutex;
  std::atomic<bool> is_held{false};
  std::atomic<int> waiter{0};
  std::thread holder([&] {
    mutex.Lock(Self());
    is_held = true;
    while (waiter == 0) sched_yield();
  });
  while (!is_held) sched_yield();
  std::thread([&] {
    waiter = 1;
    mutex.Lock(Self());
    mutex.Unlock();
  }).join();
  holder.join();
  EXPECT_TRUE(mutex.TryLock(Self()));
}

TEST(PiMutex, IsResetInAForkChild) {
  PiMutex mutex;
  mutex.Lock(Self());
  const pid_t child = fork();
  if (child == 0) {
    mutex.ResetAfterFork(0);
    mutex.Lock(Self());
    mutex.Unlock();
    mutex.ResetAfterFork(Self());
    if (!mutex.IsHeldBy(Self())) _exit(2);
    mutex.Unlock();
    _exit(mutex.IsHeld() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  mutex.Unlock();
}

}  // namespace
}  // namespace taskmem
