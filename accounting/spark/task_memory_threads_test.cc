// Several threads of one task.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "accounting/spark/task_memory_manager.h"
#include "accounting/spark/task_memory_testing.h"

namespace taskmem {
namespace {

using namespace testing_support;

constexpr auto kOnHeap = MemoryMode::kOnHeap;

// A door that opens once.
class Door {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  void WaitUntilOpen() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
};

// c1 holds all there is, and one thread is inside its Spill until the door opens.
class RunningSpillTest : public testing::Test {
 protected:
  RunningSpillTest() {
    c1_ = std::make_unique<TestConsumer>(
        memory_.task, "c1",
        [this](TestConsumer& self, int64_t bytes) {
          entered_.Open();
          may_leave_.WaitUntilOpen();
          const Result<int64_t> freed = SpillExactly(self, bytes);
          has_spilled_ = true;
          return freed;
        },
        memory_.events);
    c1_->Acquire(100);
  }

  // For more than any other consumer here holds.
  void StartSpill() {
    spiller_ = std::thread([this] { got_ = c2_.Acquire(50); });
    entered_.WaitUntilOpen();
  }

  void EndSpill(int64_t expected = 50) {
    may_leave_.Open();
    spiller_.join();
    EXPECT_EQ(got_, expected);
  }

  TaskMemory memory_{{}};
  Door entered_;
  Door may_leave_;
  std::atomic<bool> has_spilled_{false};
  std::unique_ptr<TestConsumer> c1_;
  TestConsumer c2_{memory_.task, "c2", SpillExactly, memory_.events};
  int64_t got_ = -1;
  std::thread spiller_;
};

TEST_F(RunningSpillTest, OtherThreadsAskOthers) {
  TestConsumer c3(memory_.task, "c3", SpillExactly, memory_.events);
  c1_->FreeMemory(20);
  EXPECT_EQ(c3.Acquire(20), 20);
  StartSpill();
  TestConsumer c4(memory_.task, "c4", SpillNothing, memory_.events);
  EXPECT_EQ(c4.Acquire(15), 15) << "from c3";
  EXPECT_EQ(c4.Acquire(50), 5) << "what c3 has left; nobody waits for c1";
  EXPECT_EQ(*c1_->SpillAll(), 0);
  EndSpill();
  EXPECT_EQ(c1_->spills(), 1);
  EXPECT_EQ(c4.Acquire(50), 50);
}

TEST_F(RunningSpillTest, TheManagerIsFree) {
  StartSpill();
  c1_->FreeMemory(5);
  TestConsumer c3(memory_.task, "c3", SpillNothing, memory_.events, kOnHeap, 5);
  MemoryBlock page = c3.Page(5);
  EXPECT_EQ(*memory_.task.GetPage(*memory_.task.EncodePageNumberAndOffset(page, 0)), page.base);
  memory_.task.ShowMemoryUsage();
  EXPECT_FALSE(c3.FreePage(page));
  EndSpill();
}

TEST_F(RunningSpillTest, AConsumerIsNotDestroyedInsideSpill) {
  StartSpill();
  std::atomic<bool> is_destroying{false};
  std::thread destroyer([&] {
    is_destroying = true;
    c1_.reset();
    EXPECT_TRUE(has_spilled_);
  });
  while (!is_destroying) std::this_thread::yield();
  EndSpill();
  destroyer.join();
  EXPECT_EQ(c2_.used(), 50);
}

TEST_F(RunningSpillTest, OthersMayLeave) {
  auto c3 = std::make_unique<TestConsumer>(memory_.task, "c3", SpillExactly, memory_.events);
  c1_->FreeMemory(20);
  c3->Acquire(20);
  StartSpill();
  // The spiller has it in its list.
  c3->FreeMemory(20);
  c3.reset();
  EndSpill();
}

TEST_F(RunningSpillTest, CleanUpDoesNotWaitForIt) {
  StartSpill();
  EXPECT_EQ(memory_.task.CleanUpAllAllocatedMemory(), 100);
  EndSpill(0);  // there is nothing left that it could give back
}

// A consumer's Spill takes its owner's lock, and the owner acquires under that lock
// (ABBA): the owner is answered short rather than made to wait for the spill.
TEST(ConsumersOwnLock, IsNotWaitedForByWhoHoldsIt) {
  TaskMemory memory({});
  std::mutex owners;
  Door asked;
  TestConsumer c1(
      memory.task, "c1",
      [&](TestConsumer& self, int64_t bytes) {
        asked.Open();
        const std::lock_guard lock(owners);
        return SpillExactly(self, bytes);
      },
      memory.events);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  c1.Acquire(100);
  std::thread spiller;
  {
    const std::lock_guard lock(owners);
    spiller = std::thread([&c2] { EXPECT_EQ(c2.Acquire(50), 50); });
    asked.WaitUntilOpen();
    EXPECT_EQ(c1.Acquire(10), 0) << "c1 is spilling for another thread";
    c1.FreeMemory(10);
  }
  spiller.join();
  EXPECT_EQ(memory.Used(), 90);
}

// An owner frees its pages while other threads make it spill them: each page goes once.
TEST(SpillAndFree, RaceForTheSamePages) {
  constexpr int kRounds = 2000;
  constexpr int64_t kPageBytes = 10;
  TaskMemory memory({});
  std::mutex owners;
  std::vector<MemoryBlock> pages;
  std::atomic<int64_t> freed{0};
  const auto free_one = [&](TestConsumer& consumer) {
    MemoryBlock page;
    {
      const std::lock_guard lock(owners);
      if (pages.empty()) return int64_t{0};
      page = pages.back();
      pages.pop_back();
    }
    const int64_t size = page.size;
    EXPECT_FALSE(consumer.FreePage(page));
    freed += size;
    return size;
  };
  TestConsumer c1(
      memory.task, "c1",
      [&](TestConsumer& self, int64_t bytes) -> Result<int64_t> {
        int64_t given = 0;
        while (given < bytes) {
          const int64_t size = free_one(self);
          if (size == 0) break;
          given += size;
        }
        return given;
      },
      memory.events, kOnHeap, kPageBytes);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  std::atomic<bool> is_over{false};
  std::thread spiller([&] {
    while (!is_over) c2.FreeMemory(c2.Acquire(40));
  });
  std::thread releaser([&] {
    while (!is_over) {
      if (free_one(c1) == 0) std::this_thread::yield();
    }
  });
  int64_t made = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Result<MemoryBlock> page = c1.AllocatePage(kPageBytes);
    if (!page.ok()) continue;  // c2 holds everything at the moment
    made += page.value().size;
    const std::lock_guard lock(owners);
    pages.push_back(*page);
  }
  is_over = true;
  spiller.join();
  releaser.join();
  while (free_one(c1) != 0) {
  }
  EXPECT_EQ(freed, made);
  EXPECT_EQ(c1.used(), 0);
  EXPECT_EQ(memory.Used(), 0);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 0);
}

// Leaves inside its own Spill, which goes on.
class EarlyLeaver final : public MemoryConsumer {
 public:
  EarlyLeaver(TaskMemoryManager& manager, Door& has_left, Door& may_return,
              std::atomic<bool>& has_spilled)
      : MemoryConsumer(manager, kOnHeap, "early leaver"),
        has_left_(has_left),
        may_return_(may_return),
        has_spilled_(has_spilled) {}
  ~EarlyLeaver() { Leave(); }

  Result<int64_t> Spill(int64_t bytes, MemoryConsumer*) override {
    Leave();
    has_left_.Open();
    may_return_.WaitUntilOpen();
    FreeMemory(bytes);
    has_spilled_ = true;
    return bytes;
  }

 private:
  Door& has_left_;
  Door& may_return_;
  std::atomic<bool>& has_spilled_;
};

TEST(LeavingThreads, AConsumerThatHasLeftMayStillBeInsideSpill) {
  TaskMemory memory({});
  Door has_left;
  Door may_return;
  std::atomic<bool> has_spilled{false};
  auto leaver = std::make_unique<EarlyLeaver>(memory.task, has_left, may_return, has_spilled);
  EXPECT_EQ(*leaver->AcquireMemory(100), 100);
  TestConsumer c2(memory.task, "c2", SpillNothing, memory.events);
  std::thread spiller([&c2] { EXPECT_EQ(c2.Acquire(30), 30); });
  has_left.WaitUntilOpen();
  std::atomic<bool> is_destroying{false};
  std::thread destroyer([&] {
    is_destroying = true;
    leaver.reset();
    EXPECT_TRUE(has_spilled);
  });
  while (!is_destroying) std::this_thread::yield();
  may_return.Open();
  spiller.join();
  destroyer.join();
}

// Holds memory and pages under a lock of its own, and spills random parts of both.
class RandomConsumer final : public MemoryConsumer {
 public:
  RandomConsumer(TaskMemoryManager& manager, const char* name, unsigned seed)
      : MemoryConsumer(manager, kOnHeap, name, 64), random_(seed) {}
  ~RandomConsumer() { Leave(); }

  Result<int64_t> Spill(int64_t bytes, MemoryConsumer* trigger) override {
    EXPECT_FALSE(is_spilling_.exchange(true)) << "two threads in one Spill";
    const int64_t freed = SpillSome(bytes, trigger == this);
    is_spilling_ = false;
    return freed;
  }

  void Acquire(int64_t bytes) {
    const Result<int64_t> granted = AcquireMemory(bytes);
    if (!granted.ok()) {
      EXPECT_EQ(granted.error().code, ErrorCode::kSpillFailed);
      return;
    }
    EXPECT_LE(*granted, bytes);
    const std::lock_guard lock(mutex_);
    held_ += *granted;
  }

  void AllocateOne(int64_t bytes) {
    const Result<MemoryBlock> page = AllocatePage(bytes);
    if (!page.ok()) {
      EXPECT_TRUE(page.error().code == ErrorCode::kUnableToAcquireMemory ||
                  page.error().code == ErrorCode::kNoPhysicalMemory ||
                  page.error().code == ErrorCode::kSpillFailed)
          << static_cast<int>(page.error().code);
      return;
    }
    MemoryBlock block = *page;
    EXPECT_GE(block.size, bytes);
    // Nobody else has this memory.
    std::fill(block.base, block.base + block.size, static_cast<char>(block.serial));
    const std::lock_guard lock(mutex_);
    pages_.push_back(block);
  }

  // Returns what was freed. Misuses its pages at times.
  int64_t FreeSome(int64_t most) {
    std::vector<MemoryBlock> pages;
    int64_t bytes = 0;
    bool misuse = false;
    {
      const std::lock_guard lock(mutex_);
      bytes = std::min(held_, most);
      held_ -= bytes;
      int64_t freed = bytes;
      while (freed < most && !pages_.empty()) {
        std::swap(pages_[random_() % pages_.size()], pages_.back());
        freed += pages_.back().size;
        pages.push_back(pages_.back());
        pages_.pop_back();
      }
      misuse = random_() % 4 == 0;
    }
    // With no lock held.
    if (bytes > 0) FreeMemory(bytes);
    for (MemoryBlock& page : pages) {
      const char mark = static_cast<char>(page.serial);
      EXPECT_TRUE(std::all_of(page.base, page.base + page.size,
                              [mark](char each) { return each == mark; }));
      MemoryBlock stale = page;
      bytes += page.size;
      EXPECT_FALSE(FreePage(page));
      if (misuse) {
        EXPECT_EQ(FreePage(stale).code, ErrorCode::kDoubleFree);
        EXPECT_EQ(FreePage(page).code, ErrorCode::kDoubleFree);
      }
    }
    return bytes;
  }

 private:
  int64_t SpillSome(int64_t bytes, bool is_self) {
    unsigned choice = 0;
    {
      const std::lock_guard lock(mutex_);
      choice = random_() % 8;
    }
    if (choice == 0 || (is_self && choice < 3)) return 0;
    if (choice == 1) return bytes;  // it lies
    if (choice == 2) bytes = bytes / 2 + 1;
    return FreeSome(bytes);
  }

  std::mutex mutex_;
  std::mt19937 random_;
  int64_t held_ = 0;
  std::vector<MemoryBlock> pages_;
  std::atomic<bool> is_spilling_{false};
};

TEST(TaskMemoryThreads, NoByteIsLostWhateverTheyDo) {
  constexpr int kThreads = 4;
  constexpr int kConsumers = 6;
  constexpr int kRounds = 1500;
  constexpr int64_t kMax = 20'000;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RecordProperty("seed", static_cast<int>(seed));
  TaskMemory memory({.max_bytes = kMax, .region_bytes = kMax / 2, .page_size_bytes = 64});
  // Another task comes and goes meanwhile.
  TaskMemoryManager other(memory.pools, 1, memory.heap_allocator, memory.unsafe_allocator);
  std::vector<std::unique_ptr<RandomConsumer>> consumers;
  for (int i = 0; i < kConsumers; ++i) {
    consumers.push_back(std::make_unique<RandomConsumer>(memory.task, "shared", seed + i));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(seed * 31 + i);
      // One that lives and dies with this thread, in others' lists.
      std::unique_ptr<RandomConsumer> own;
      for (int round = 0; round < kRounds; ++round) {
        RandomConsumer& consumer = *consumers[random() % kConsumers];
        switch (random() % 10) {
          case 0:
          case 1:
          case 2: consumer.Acquire(1 + random() % 3000); break;
          case 3:
          case 4:
          case 5: consumer.AllocateOne(1 + random() % 2000); break;
          case 6: consumer.FreeSome(random() % 4000); break;
          case 7:
            if (own == nullptr) {
              own = std::make_unique<RandomConsumer>(memory.task, "own", random());
            }
            own->Acquire(1 + random() % 2000);
            break;
          case 8:
            if (own != nullptr && random() % 2 == 0) own->FreeSome(INT64_MAX);
            own.reset();
            break;
          case 9:
            if (random() % 8 == 0) memory.task.ShowMemoryUsage();
            if (random() % 8 == 0) memory.memory.FailNext(random() % 3);
            break;
        }
        EXPECT_LE(memory.Used(), kMax);
      }
    });
  }
  std::atomic<bool> is_over{false};
  std::thread neighbour([&] {
    std::mt19937 random(seed + 1000);
    RandomConsumer consumer(other, "neighbour", seed + 2000);
    while (!is_over) {
      consumer.Acquire(1 + random() % 5000);
      consumer.FreeSome(random() % 3 == 0 ? INT64_MAX : random() % 5000);
    }
    consumer.FreeSome(INT64_MAX);
  });
  for (std::thread& thread : threads) thread.join();
  is_over = true;
  // If it waits, it waits for what the clean-up gives back.
  const int64_t held = memory.Used();
  EXPECT_EQ(memory.task.current_bytes(kOnHeap), held);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), held);
  neighbour.join();
  consumers.clear();
  EXPECT_EQ(memory.task.LivePages(), 0);
  EXPECT_FALSE(memory.task.IsPageNumberTaken(0));
  EXPECT_EQ(memory.memory.live(), 0);
  const UnifiedMemoryManager::Pools pools = memory.pools.GetPools(kOnHeap);
  EXPECT_EQ(pools.execution_used, 0);
  EXPECT_EQ(pools.active_tasks, 0);
  EXPECT_EQ(other.CleanUpAllAllocatedMemory(), 0);
}

}  // namespace
}  // namespace taskmem
