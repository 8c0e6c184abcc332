#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

// A table through which threads pass blocks to whoever comes next.
template <size_t kSlots>
class Exchange {
 public:
  // Puts `block` in and returns what was there, or nullptr.
  char* Swap(size_t slot, char* block) {
    return slots_[slot % kSlots].exchange(block, std::memory_order_acq_rel);
  }

  uint64_t FreeAll() {
    uint64_t bytes = 0;
    for (size_t i = 0; i < kSlots; ++i) {
      if (char* block = Swap(i, nullptr)) bytes += FreeTagged(block);
    }
    return bytes;
  }

 private:
  std::array<std::atomic<char*>, kSlots> slots_ = {};
};

void RunThreads(int count, auto body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

// A server whose connections outlive their threads: a thread replaces random
// blocks of its array, gives the array to a new thread and ends.
uint64_t RunLarson() {
  constexpr int kLanes = 8;
  constexpr int kGenerations = 50;
  constexpr int kReplacements = 150'000;
  struct Lane {
    std::vector<char*> blocks;
    uint64_t bytes = 0;
    // The last thread of a lane is amid it still when it lets RunLarson go on.
    std::shared_ptr<std::latch> done;
  };
  // A struct, as a lambda cannot start a thread on itself.
  struct Worker {
    static void Run(Lane* lane, int number, int generation) {
      Random random(static_cast<uint64_t>(number * 1000 + generation));
      for (int i = 0; i < kReplacements; ++i) {
        char*& block = lane->blocks[random.Below(lane->blocks.size())];
        lane->bytes += FreeTagged(block);
        block = NewTagged(random.Between(16, 1000));
      }
      if (generation + 1 == kGenerations) {
        const std::shared_ptr<std::latch> done = lane->done;
        return done->count_down();
      }
      std::thread(Run, lane, number, generation + 1).detach();
    }
  };
  std::vector<Lane> lanes(kLanes);
  const auto done = std::make_shared<std::latch>(kLanes);
  for (int i = 0; i < kLanes; ++i) {
    lanes[i].done = done;
    lanes[i].blocks.resize(1000);
    for (char*& block : lanes[i].blocks) block = NewTagged(64);
    std::thread(Worker::Run, &lanes[i], i, 0).detach();
  }
  done->wait();
  uint64_t checksum = 0;
  for (Lane& lane : lanes) {
    for (char* block : lane.blocks) lane.bytes += FreeTagged(block);
    checksum += lane.bytes;
  }
  return checksum;
}

// Two threads allocate, two others free: no block is freed where it was made.
// They meet once in 32 batches, so that it is the allocator that is timed and
// not the kernel's way of waking threads.
uint64_t RunXmalloc() {
  constexpr int kPairs = 2;
  constexpr int kMeetings = 2'500;
  constexpr size_t kBatches = 32;
  using Batch = std::array<char*, 256>;
  using Delivery = std::vector<std::unique_ptr<Batch>>;
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Delivery> deliveries;  // at most kDepth
  };
  constexpr size_t kDepth = 4;
  std::array<Queue, kPairs> queues;
  std::atomic<uint64_t> checksum = 0;

  RunThreads(2 * kPairs, [&](int thread) {
    Queue& queue = queues[thread / 2];
    if (thread % 2 == 0) {
      Random random(static_cast<uint64_t>(thread));
      for (int i = 0; i < kMeetings; ++i) {
        Delivery delivery(kBatches);
        for (std::unique_ptr<Batch>& batch : delivery) {
          batch = std::make_unique<Batch>();
          for (char*& block : *batch) block = NewTagged(random.Between(16, 400));
        }
        std::unique_lock lock(queue.mutex);
        queue.changed.wait(lock, [&] { return queue.deliveries.size() < kDepth; });
        queue.deliveries.push_back(std::move(delivery));
        queue.changed.notify_one();
      }
      return;
    }
    uint64_t bytes = 0;
    for (int i = 0; i < kMeetings; ++i) {
      std::unique_lock lock(queue.mutex);
      queue.changed.wait(lock, [&] { return !queue.deliveries.empty(); });
      const Delivery delivery = std::move(queue.deliveries.front());
      queue.deliveries.pop_front();
      queue.changed.notify_one();
      lock.unlock();
      for (const std::unique_ptr<Batch>& batch : delivery) {
        for (char* block : *batch) bytes += FreeTagged(block);
      }
    }
    checksum += bytes;
  });
  return checksum;
}

// Rounds of threads that build lists, keep some of them to the end, pass some
// of their blocks to other threads and other rounds, and end.
uint64_t RunMstress() {
  constexpr int kRounds = 80;
  constexpr int kThreads = 8;
  constexpr int kLists = 2500;
  struct Item {
    Item* next;
    char* payload;
  };
  static Exchange<2048> exchange;
  std::atomic<uint64_t> checksum = 0;

  for (int round = 0; round < kRounds; ++round) {
    RunThreads(kThreads, [&, round](int thread) {
      Random random(static_cast<uint64_t>(round * kThreads + thread));
      uint64_t bytes = 0;
      const auto free_list = [&](Item* item) {
        while (item != nullptr) {
          Item* next = item->next;
          bytes += FreeTagged(item->payload);
          delete item;
          item = next;
        }
      };
      std::vector<Item*> kept;
      for (int list = 0; list < kLists; ++list) {
        Item* head = nullptr;
        const uint64_t length = random.Between(4, 40);
        for (uint64_t i = 0; i < length; ++i) {
          // Mostly small; one in 64 is large.
          const uint64_t most = random.Below(64) == 0 ? 16 * 1024 : 240;
          head = new Item{head, NewTagged(random.Between(16, most))};
        }
        if (random.Below(2) == 0) {
          char* other = exchange.Swap(random.Next(), NewTagged(random.Between(16, 500)));
          if (other != nullptr) bytes += FreeTagged(other);
        }
        if (random.Below(4) == 0) {
          kept.push_back(head);
        } else {
          free_list(head);
        }
      }
      for (Item* head : kept) free_list(head);
      checksum += bytes;
    });
  }
  return checksum + exchange.FreeAll();
}

// A program that makes a thread for every little thing.
uint64_t RunChurn() {
  constexpr int kThreads = 20'000;
  constexpr int kStarters = 4;
  constexpr int kBlocks = 100;
  constexpr int kLeftBehind = 5;
  static Exchange<4096> exchange;
  std::atomic<uint64_t> checksum = 0;

  RunThreads(kStarters, [&](int starter) {
    for (int i = starter; i < kThreads; i += kStarters) {
      std::thread([&checksum, i] {
        Random random(static_cast<uint64_t>(i));
        uint64_t bytes = 0;
        std::array<char*, kBlocks> blocks;
        for (char*& block : blocks) block = NewTagged(random.Between(16, 400));
        for (int b = kLeftBehind; b < kBlocks; ++b) bytes += FreeTagged(blocks[b]);
        for (int b = 0; b < kLeftBehind; ++b) {
          char* other = exchange.Swap(random.Next(), blocks[b]);
          if (other != nullptr) bytes += FreeTagged(other);
        }
        checksum += bytes;
      }).join();
    }
  });
  return checksum + exchange.FreeAll();
}

// Four threads, each with a working set that it takes down and builds up again
// in pieces, small sizes more often than large ones.
uint64_t RunSh() {
  constexpr int kThreads = 4;
  constexpr int kPieces = 25'000;
  constexpr size_t kLive = 8'000;
  std::atomic<uint64_t> checksum = 0;
  RunThreads(kThreads, [&](int thread) {
    Random random(static_cast<uint64_t>(thread));
    std::vector<char*> live;
    live.reserve(kLive);
    uint64_t bytes = 0;
    for (int piece = 0; piece < kPieces; ++piece) {
      while (live.size() < kLive) {
        const unsigned shift =
            static_cast<unsigned>(std::min({random.Below(9), random.Below(9), random.Below(9)}));
        live.push_back(NewTagged(random.Between(size_t{16} << shift, size_t{32} << shift)));
      }
      // A run of neighbours, from anywhere: old and young blocks die together.
      const size_t count = random.Between(100, 1200);
      const size_t start = random.Below(kLive - 2 * count);
      for (size_t i = start; i < start + count; ++i) {
        bytes += FreeTagged(live[i]);
        live[i] = live.back();
        live.pop_back();
      }
    }
    for (char* block : live) bytes += FreeTagged(block);
    checksum += bytes;
  });
  return checksum;
}

}  // namespace taskmem::bench
