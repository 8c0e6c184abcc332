// Threads allocate, encode and free pages, their own and each other's, for two tasks. No two
// live pages of a task have the same number, and each decodes to itself. The argument is the
// seed.
#include <malloc.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kThreads = 8;
constexpr uint64_t kTasks = 2;
constexpr int kSteps = 20'000;
constexpr int kPlaces = 300;

struct Place {
  std::mutex mutex;
  taskmem_page page = {};
};

Place g_places[kPlaces];
std::atomic<int> g_users[kTasks][8192];  // by page number

void Free(taskmem_page* page) {
  if (page->address == nullptr) return;
  REQUIRE(HasPattern(page->address, page->bytes, page->number));
  REQUIRE_COMPARE(g_users[page->task - kTask][page->number].fetch_sub(1), ==, 1);
  REQUIRE_COMPARE(taskmem_page_free(page), ==, 0);
}

void Work(uint64_t i, uint64_t seed) {
  uint64_t random = seed * 100 + i + 1;
  for (int step = 0; step < kSteps; ++step) {
    if (step % 100 == 0) Attach(kTask + NextRandom(&random) % kTasks);
    Place& place = g_places[NextRandom(&random) % kPlaces];
    const std::lock_guard lock(place.mutex);
    taskmem_page& page = place.page;
    const uint64_t kind = NextRandom(&random) % 4;
    if (kind == 0) {
      Free(&page);
    } else if (kind == 1) {
      Free(&page);
      const uint64_t bytes = step % 10 == 0 ? 140'000 : 1 + NextRandom(&random) % 3000;
      REQUIRE_COMPARE(taskmem_page_allocate(bytes, &page), ==, 0);
      REQUIRE_COMPARE(g_users[page.task - kTask][page.number].fetch_add(1), ==, 0);
      FillPattern(page.address, page.bytes, page.number);
    } else if (page.address != nullptr) {
      const uint64_t offset = NextRandom(&random) % page.bytes;
      uint64_t encoded = 0;
      void* decoded = nullptr;
      char* const address = static_cast<char*>(page.address) + offset;
      REQUIRE_COMPARE(taskmem_encode(address, &encoded), ==, 0);
      REQUIRE_COMPARE(encoded, ==, (uint64_t{page.number} << 51) + offset);
      REQUIRE_COMPARE(taskmem_decode(page.task, encoded, &decoded), ==, 0);
      REQUIRE(decoded == address);
    } else {
      // An ordinary block meanwhile.
      char* const block = static_cast<char*>(malloc(1 + NextRandom(&random) % 200'000));
      uint64_t encoded = 0;
      REQUIRE_COMPARE(taskmem_encode(block, &encoded), ==, 0);
      void* decoded = nullptr;
      REQUIRE_COMPARE(taskmem_decode(OwnerOf(block), encoded, &decoded), ==, 0);
      REQUIRE(decoded == block);
      free(block);
    }
  }
  Detach();
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const auto seed = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", seed);
  fflush(stdout);
  Detach();
  for (uint64_t i = 0; i < kTasks; ++i) Begin(kTask + i);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(Work, i, seed);
  for (std::thread& thread : threads) thread.join();
  for (Place& place : g_places) Free(&place.page);
  malloc_trim(0);
  RequireBooksMatchPages();
  for (uint64_t i = 0; i < kTasks; ++i) {
    REQUIRE_COMPARE(Charged(kTask + i), ==, 0);
    End(kTask + i);
  }
}
