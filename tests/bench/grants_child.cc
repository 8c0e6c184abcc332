// grants_child THREADS BLOCKS MIN_BYTES MAX_BYTES ALLOCATIONS: threads that hold 0 to BLOCKS
// blocks of sizes that are charged one by one. Prints a checksum.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

struct Load {
  uint64_t threads;
  uint64_t most_blocks;
  size_t min_bytes;
  size_t max_bytes;
  uint64_t allocations;  // of all threads together
};

// Goes to and fro between random levels: what is taken down is given back and charged anew.
uint64_t GrowAndShrink(uint64_t seed, const Load& load) {
  Random random(seed);
  uint64_t allocations = load.allocations / load.threads;
  std::vector<char*> blocks;
  blocks.reserve(load.most_blocks);
  uint64_t checksum = 0;
  while (allocations > 0) {
    const uint64_t level = random.Below(load.most_blocks + 1);
    for (; blocks.size() < level && allocations > 0; --allocations) {
      blocks.push_back(NewTagged(random.Between(load.min_bytes, load.max_bytes)));
    }
    for (; blocks.size() > level; blocks.pop_back()) checksum += FreeTagged(blocks.back());
  }
  for (char* block : blocks) checksum += FreeTagged(block);
  return checksum;
}

uint64_t RunThreads(const Load& load) {
  std::vector<uint64_t> checksums(load.threads);
  std::vector<std::thread> running;
  for (uint64_t i = 0; i < load.threads; ++i) {
    running.emplace_back([&, i] { checksums[i] = GrowAndShrink(i + 1, load); });
  }
  uint64_t sum = 0;
  for (uint64_t i = 0; i < load.threads; ++i) {
    running[i].join();
    sum += checksums[i];
  }
  return sum;
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: grants_child THREADS BLOCKS MIN_BYTES MAX_BYTES ALLOCATIONS\n");
    return 2;
  }
  const auto number = [argv](int i) { return strtoull(argv[i], nullptr, 10); };
  const taskmem::bench::Load load = {number(1), number(2), number(3), number(4), number(5)};
  std::printf("%" PRIu64 "\n", taskmem::bench::RunThreads(load));
  return 0;
}
