// A task for each request, 1,000 small blocks each, of which some outlive it in a ring. What is in
// memory stays near what lives, each ended task is charged for what it left, and the books match
// the pages. Arguments: the seed, the requests, the blocks of the ring.
#include <malloc.h>

#include <vector>

#include "tests/programs/support/ended_tasks.h"
#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr uint64_t kFirstTask = 5000;
constexpr int kBlocks = 1000;
constexpr int kOutlivesEach = 50;  // one in so many

struct Kept {
  void* block;
  size_t bytes;
};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 3);
  uint64_t random = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", static_cast<unsigned long long>(random));
  const uint64_t requests = strtoull(argv[2], nullptr, 10);
  std::vector<Kept> ring(strtoull(argv[3], nullptr, 10));
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  uint64_t live = 0;
  size_t at = 0;
  const uint64_t before = ResidentBytes();
  for (uint64_t request = 0; request < requests; ++request) {
    const uint64_t task = kFirstTask + request;
    Begin(task);
    Attach(task);
    Kept blocks[kBlocks];
    uint64_t left = 0;
    for (Kept& kept : blocks) {
      kept.bytes = 16 + NextRandom(&random) % 512;
      kept.block = malloc(kept.bytes);
      REQUIRE(kept.block != nullptr);
      FillPattern(kept.block, kept.bytes, static_cast<unsigned>(kept.bytes));
    }
    for (int i = 0; i < kBlocks; ++i) {
      if (i % kOutlivesEach != 0) {
        REQUIRE(
            HasPattern(blocks[i].block, blocks[i].bytes, static_cast<unsigned>(blocks[i].bytes)));
        free(blocks[i].block);
        continue;
      }
      Kept& place = ring[at++ % ring.size()];
      if (place.block != nullptr) {
        REQUIRE(HasPattern(place.block, place.bytes, static_cast<unsigned>(place.bytes)));
      }
      free(place.block);
      live += blocks[i].bytes - place.bytes;
      place = blocks[i];
      left += malloc_usable_size(place.block);
    }
    Detach();
    End(task);
    if (request % 500 != 0) continue;
    RequireBooksMatchPages();
    // What it left lives on, and nothing else of it is charged.
    for (uint32_t slot = taskmem::kFirstTaskSlot; slot < stats.slots(); ++slot) {
      if (stats.book(slot).task_id.load() != task) continue;
      REQUIRE_COMPARE(stats.book(slot).charged_bytes.load(), ==, left);
    }
  }
  RequireBooksMatchPages();
  const uint64_t resident = ResidentBytes() - before;
  REQUIRE_COMPARE(resident, <=, live + live / 2 + (16 << 20));
  for (const Kept& kept : ring) free(kept.block);
  malloc_trim(0);
  RequireBooksMatchPages();
  RequireNothingCharged(stats, kFirstTask, kFirstTask + requests + 1);
}
