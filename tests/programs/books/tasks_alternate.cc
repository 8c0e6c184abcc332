// A thread works for many tasks in turn, another one at each allocation, and frees what any of them
// allocated; another thread frees some. Blocks keep their content, the books match the pages, and
// what is in memory stays bounded. Arguments: the seed, the tasks, the allocations.
#include <malloc.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/ended_tasks.h"
#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr uint64_t kFirstTask = 5000;
constexpr int kPlaces = 10'000;
constexpr uint64_t kMostBytes = 528;

struct Place {
  unsigned char* block;
  size_t bytes;
};

void Free(const Place& place) {
  if (place.block == nullptr) return;
  REQUIRE(HasPattern(place.block, place.bytes, static_cast<unsigned>(place.bytes)));
  free(place.block);
}

// One block at a time, on another thread.
std::atomic<Place*> g_remote{nullptr};
std::atomic<bool> g_stop{false};

void FreeRemotely() {
  while (!g_stop.load()) {
    Place* place = g_remote.exchange(nullptr);
    if (place == nullptr) continue;
    Free(*place);
    delete place;
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 3);
  uint64_t random = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", static_cast<unsigned long long>(random));
  const uint64_t tasks = strtoull(argv[2], nullptr, 10);
  const uint64_t allocations = strtoull(argv[3], nullptr, 10);
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  std::vector<Place> places(kPlaces);
  for (uint64_t task = 0; task < tasks; ++task) Begin(kFirstTask + task);
  const uint64_t before = ResidentBytes();
  std::thread other(FreeRemotely);
  for (uint64_t i = 0; i < allocations; ++i) {
    Attach(kFirstTask + i % tasks);
    Place& place = places[NextRandom(&random) % kPlaces];
    if (i % 64 == 0 && g_remote.load() == nullptr) {
      Detach();
      g_remote.store(new Place(place));
      Attach(kFirstTask + i % tasks);
    } else {
      Free(place);
    }
    place.bytes = 16 + NextRandom(&random) % (kMostBytes - 16);
    place.block = static_cast<unsigned char*>(malloc(place.bytes));
    REQUIRE(place.block != nullptr);
    FillPattern(place.block, place.bytes, static_cast<unsigned>(place.bytes));
    if (i % (allocations / 8) != 0) continue;
    // Some task ends, with live blocks, and begins anew.
    const uint64_t ends = kFirstTask + NextRandom(&random) % tasks;
    End(ends);
    Begin(ends);
  }
  Detach();
  g_stop.store(true);
  other.join();
  if (Place* place = g_remote.exchange(nullptr); place != nullptr) {
    Free(*place);
    delete place;
  }
  RequireBooksMatchPages();
  // What a task has taken ahead, and pages begun for it, beside what lives.
  REQUIRE_COMPARE(ResidentBytes() - before, <=, kPlaces * kMostBytes + (32 << 20));
  for (const Place& place : places) Free(place);
  malloc_trim(0);
  RequireBooksMatchPages();
  for (uint64_t task = 0; task < tasks; ++task) End(kFirstTask + task);
  RequireNothingCharged(stats, kFirstTask, kFirstTask + tasks);
}
