// Producers allocate, consumers verify, resize and free.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

constexpr int kPairs = 4;
constexpr int kBlocks = 30000;
constexpr int kQueue = 256;

struct Block {
  void* start;
  size_t size;
  unsigned seed;
};

struct Queue {
  std::atomic<unsigned> head{0};
  std::atomic<unsigned> tail{0};
  Block blocks[kQueue];
};

Queue g_queues[kPairs];

void Produce(int pair) {
  uint64_t random = 1000003u * static_cast<unsigned>(pair + 1);
  Queue& queue = g_queues[pair];
  for (unsigned i = 0; i < kBlocks; ++i) {
    const size_t limit = i % 1000 == 0 ? 2000000 : i % 50 == 0 ? 100000 : 600;
    const size_t size = NextRandom(&random) % limit;
    void* start = i % 3 == 0 ? calloc(1, size) : malloc(size);
    REQUIRE(start != nullptr);
    FillPattern(start, size, i);
    while (i - queue.head.load() >= kQueue) std::this_thread::yield();
    queue.blocks[i % kQueue] = {start, size, i};
    queue.tail.store(i + 1);
  }
}

void Consume(int pair) {
  Queue& queue = g_queues[pair];
  for (unsigned i = 0; i < kBlocks; ++i) {
    while (queue.tail.load() <= i) std::this_thread::yield();
    Block block = queue.blocks[i % kQueue];
    queue.head.store(i + 1);
    REQUIRE(HasPattern(block.start, block.size, block.seed));
    if (i % 5 == 0) {
      block.start = realloc(block.start, block.size * 2 + 1);
      REQUIRE(HasPattern(block.start, block.size, block.seed));
    }
    free(block.start);
  }
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (int pair = 0; pair < kPairs; ++pair) {
    threads.emplace_back(Produce, pair);
    threads.emplace_back(Consume, pair);
  }
  for (std::thread& thread : threads) thread.join();
}
