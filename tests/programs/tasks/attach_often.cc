// A thread goes back and forth between many tasks: each block belongs to the
// task of its moment, whoever frees it.
#include <malloc.h>

#include <vector>

#include "tests/programs/support/tasks.h"

int main() {
  constexpr int kTasks = 200;
  constexpr int kRounds = 500;
  for (int i = 0; i < kTasks; ++i) Begin(kTask + i);
  struct Block {
    void* start;
    uint64_t task;
  };
  std::vector<Block> blocks;
  blocks.reserve(kTasks * kRounds);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kTasks; ++i) {
      Attach(kTask + i);
      blocks.push_back({malloc(static_cast<size_t>(8 + (i * 13 + round) % 1500)), kTask + i});
    }
  }
  Detach();
  for (const Block& block : blocks) {
    REQUIRE(OwnerOf(block.start) == block.task);
    free(block.start);
  }
  RequireBooksMatchPages();
  malloc_trim(0);
  for (int i = 0; i < kTasks; ++i) {
    REQUIRE_COMPARE(Charged(kTask + i), ==, 0);
    End(kTask + i);
  }
}
