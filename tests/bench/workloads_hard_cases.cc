// Cases in which an allocator that charges tasks, or general allocators, cost most.
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "shim/taskmem.h"
#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

char* NewWritten(size_t bytes) {
  auto* block = static_cast<char*>(malloc(bytes));
  if (block == nullptr) std::abort();
  Escape(block);
  block[0] = 1;
  return block;
}

// 64 live blocks, one of them replaced at a time, by random. make(turn, random, &block) makes the
// new one; the sum of what it returns is the checksum.
template <typename Make>
uint64_t ReplaceBlocks(int turns, uint64_t seed, Make make) {
  char* live[64] = {};
  Random random(seed);
  uint64_t checksum = 0;
  for (int turn = 0; turn < turns; ++turn) {
    char*& place = live[random.Below(64)];
    free(place);
    checksum += make(turn, random, &place);
  }
  for (char* block : live) free(block);
  return checksum;
}

}  // namespace

// A task for each request; two in a hundred of its blocks outlive it.
uint64_t RunRequests() {
  constexpr int kRequests = 8000;
  constexpr int kBlocks = 1000;
  constexpr int kOutlivesEach = 50;
  std::vector<char*> ring(100'000, nullptr);
  Random random(11);
  size_t at = 0;
  uint64_t checksum = 0;
  for (int request = 0; request < kRequests; ++request) {
    const uint64_t task = 1'000'000 + static_cast<uint64_t>(request);
    taskmem_task_begin(task, nullptr);
    taskmem_thread_attach(task, nullptr);
    char* blocks[kBlocks];
    for (char*& block : blocks) block = NewTagged(random.Between(16, 528));
    for (int i = 0; i < kBlocks; ++i) {
      if (i % kOutlivesEach != 0) {
        checksum += FreeTagged(blocks[i]);
        continue;
      }
      char*& place = ring[at++ % ring.size()];
      if (place != nullptr) checksum += FreeTagged(place);
      place = blocks[i];
    }
    taskmem_thread_detach();
    taskmem_task_end(task, nullptr);
  }
  for (char* block : ring) {
    if (block != nullptr) checksum += FreeTagged(block);
  }
  return checksum;
}

// Another one of a hundred tasks at each allocation; what is freed is mostly another's.
uint64_t RunSwitching() {
  constexpr uint64_t kTasks = 100;
  constexpr uint64_t kFirst = 1'000'000;
  std::vector<char*> live(10'000, nullptr);
  Random random(12);
  uint64_t checksum = 0;
  for (uint64_t task = 0; task < kTasks; ++task) taskmem_task_begin(kFirst + task, nullptr);
  for (uint64_t i = 0; i < 5'000'000; ++i) {
    taskmem_thread_attach(kFirst + i % kTasks, nullptr);
    char*& place = live[random.Below(live.size())];
    if (place != nullptr) checksum += FreeTagged(place);
    place = NewTagged(random.Between(16, 528));
  }
  taskmem_thread_detach();
  for (char* block : live) {
    if (block != nullptr) checksum += FreeTagged(block);
  }
  for (uint64_t task = 0; task < kTasks; ++task) taskmem_task_end(kFirst + task, nullptr);
  return checksum;
}

// Eight live huge blocks at ever new addresses.
uint64_t RunAddresses() {
  constexpr size_t kMiB = size_t{1} << 20;
  char* live[8] = {};
  Random random(13);
  uint64_t checksum = 0;
  for (int i = 0; i < 100'000; ++i) {
    char*& place = live[i % 8];
    free(place);
    const size_t bytes = random.Between(33 * kMiB, 96 * kMiB);
    place = NewWritten(bytes);
    checksum += bytes;
  }
  for (char* block : live) free(block);
  return checksum;
}

// Large blocks of which only the first byte is written.
uint64_t RunUntouched() {
  return ReplaceBlocks(300'000, 14, [](int turn, Random& random, char** block) {
    constexpr size_t kKiB = 1024;
    const size_t bytes = turn % 8 == 0 ? random.Between(kKiB * kKiB, 10 * kKiB * kKiB)
                                       : random.Between(132 * kKiB, kKiB * kKiB);
    *block = NewWritten(bytes);
    return bytes;
  });
}

// calloc of small blocks.
uint64_t RunCallocs() {
  return ReplaceBlocks(20'000'000, 15, [](int, Random& random, char** block) {
    const size_t bytes = random.Between(16, 900);
    *block = static_cast<char*>(calloc(1, bytes));
    const size_t last = static_cast<unsigned char>((*block)[bytes - 1]);
    (*block)[0] = 1;
    return bytes + last;
  });
}

// Few live blocks of 1 to 10 KiB.
uint64_t RunMedium() {
  return ReplaceBlocks(10'000'000, 16, [](int, Random& random, char** block) {
    const size_t bytes = random.Between(1200, 10'200);
    *block = NewWritten(bytes);
    return bytes;
  });
}

// Aligned by a cache line, and by a page.
uint64_t RunAligned() {
  return ReplaceBlocks(10'000'000, 17, [](int turn, Random& random, char** block) {
    const bool is_page = turn % 4 == 0;
    const size_t bytes = is_page ? random.Between(16, 9000) : random.Between(16, 900);
    void* made = nullptr;
    if (posix_memalign(&made, is_page ? 4096 : 64, bytes) != 0) std::abort();
    *block = static_cast<char*>(made);
    (*block)[0] = 1;
    return bytes;
  });
}

// Buffers that grow: in steps of 4 KiB to 16 MiB, and by doubling to 64 MiB.
uint64_t RunGrowing() {
  constexpr size_t kKiB = 1024;
  uint64_t checksum = 0;
  for (int turn = 0; turn < 20; ++turn) {
    char* buffer = nullptr;
    for (size_t bytes = 4 * kKiB; bytes <= 16 * kKiB * kKiB; bytes += 4 * kKiB) {
      buffer = static_cast<char*>(realloc(buffer, bytes));
      buffer[bytes - 1] = 1;
    }
    free(buffer);
    buffer = nullptr;
    for (size_t bytes = kKiB; bytes <= 64 * kKiB * kKiB; bytes *= 2) {
      buffer = static_cast<char*>(realloc(buffer, bytes));
      std::memset(buffer + bytes / 2, turn, bytes - bytes / 2);
      checksum += static_cast<unsigned char>(buffer[bytes / 2]);
    }
    free(buffer);
  }
  return checksum;
}

// 64 threads in a ring: each frees what the one before it has allocated.
uint64_t RunCrossFree() {
  constexpr int kThreads = 64;
  constexpr int kTurns = 60;
  constexpr int kBatch = 2000;
  struct Box {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<char*> blocks;
  };
  static Box boxes[kThreads];
  static uint64_t sums[kThreads];
  for (uint64_t& sum : sums) sum = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([number] {
      Random random(static_cast<uint64_t>(number) + 100);
      for (int turn = 0; turn < kTurns; ++turn) {
        std::vector<char*> batch(kBatch);
        for (char*& block : batch) block = NewTagged(random.Between(16, 500));
        Box& next = boxes[(number + 1) % kThreads];
        {
          std::unique_lock lock(next.mutex);
          next.changed.wait(lock, [&next] { return next.blocks.empty(); });
          next.blocks.swap(batch);
          next.changed.notify_all();
        }
        Box& own = boxes[number];
        std::vector<char*> received;
        {
          std::unique_lock lock(own.mutex);
          own.changed.wait(lock, [&own] { return !own.blocks.empty(); });
          received.swap(own.blocks);
          own.changed.notify_all();
        }
        for (char* block : received) sums[number] += FreeTagged(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t checksum = 0;
  for (const uint64_t sum : sums) checksum += sum;
  return checksum;
}

// 5,000 threads one after another; each leaves a few blocks.
uint64_t RunInTurn() {
  std::vector<char*> left;
  uint64_t checksum = 0;
  for (int number = 0; number < 5000; ++number) {
    std::thread([number, &left, &checksum] {
      Random random(static_cast<uint64_t>(number) + 1000);
      std::vector<char*> blocks(400);
      for (char*& block : blocks) block = NewTagged(random.Between(16, 2000));
      for (int i = 0; i < 4; ++i) left.push_back(NewTagged(random.Between(16, 300)));
      for (char* block : blocks) checksum += FreeTagged(block);
    }).join();
  }
  for (char* block : left) checksum += FreeTagged(block);
  return checksum;
}

}  // namespace taskmem::bench
