// Threads allocate aligned blocks in destructors of their thread_local objects, where they share
// one context: every block is aligned and keeps its content.
#include <malloc.h>

#include <thread>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

struct Last {
  uint64_t seed = 1;

  ~Last() {
    constexpr size_t kBlocks = 256;
    static thread_local unsigned char* blocks[kBlocks];
    static thread_local size_t sizes[kBlocks];
    uint64_t random = seed;
    for (int round = 0; round < 12; ++round) {
      for (size_t i = 0; i < kBlocks; ++i) {
        const size_t alignment = size_t{64} << NextRandom(&random) % 8;
        sizes[i] = 40 + NextRandom(&random) % 200 * 8;
        blocks[i] = static_cast<unsigned char*>(memalign(alignment, sizes[i]));
        REQUIRE(blocks[i] != nullptr);
        REQUIRE(IsAligned(blocks[i], alignment));
        FillPattern(blocks[i], sizes[i], static_cast<unsigned>(i));
      }
      for (size_t i = 0; i < kBlocks; ++i) {
        REQUIRE(HasPattern(blocks[i], sizes[i], static_cast<unsigned>(i)));
        free(blocks[i]);
      }
    }
  }
};

}  // namespace

int main() {
  for (uint64_t round = 0; round < 6; ++round) {
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < 24; ++i) {
      threads.emplace_back([=] {
        thread_local Last last;
        last.seed = round * 100 + i + 1;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}
