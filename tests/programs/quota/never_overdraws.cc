// With a minimum of 0 no moment sees a task above its quota, however many threads
// allocate, and nothing is refused before 97 % of it are in use. The arguments
// are the number of threads and the seed.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kQuota = 256 * kMiB;

std::atomic<uint64_t> g_charged_at_first_refusal{0};
std::atomic<bool> g_stop{false};
std::atomic<bool> g_go{false};

void NoteRefusal(uint64_t charged) {
  uint64_t none = 0;
  g_charged_at_first_refusal.compare_exchange_strong(none, charged);
}

size_t RandomSize(uint64_t* random) {
  switch (NextRandom(random) % 4) {
    case 0: return 16 + NextRandom(random) % 500;
    case 1: return 16 + NextRandom(random) % 5000;
    case 2: return 16 + NextRandom(random) % (64 * 1024);
    default: return 48;
  }
}

// Fills up, then frees and allocates at the limit for a while, then frees all.
void Work(uint64_t seed, std::vector<void*>* blocks) {
  while (!g_go.load()) std::this_thread::yield();
  uint64_t random = seed;
  Attach(kTask);
  int refusals = 0;
  while (refusals < 2000) {
    void* block = malloc(RandomSize(&random));
    if (block == nullptr) {
      NoteRefusal(Charged(kTask));
      ++refusals;
      for (int i = 0; i < 5 && !blocks->empty(); ++i) {
        const size_t at = NextRandom(&random) % blocks->size();
        free((*blocks)[at]);
        (*blocks)[at] = blocks->back();
        blocks->pop_back();
      }
    } else if (blocks->size() < blocks->capacity()) {
      blocks->push_back(block);
    } else {
      free(block);
    }
  }
  for (void* block : *blocks) free(block);
  Detach();
}

void Sample() {
  while (!g_stop.load()) {
    const taskmem_usage usage = Usage(kTask);
    REQUIRE_COMPARE(usage.charged_bytes, <=, kQuota);
    REQUIRE_COMPARE(usage.overdraft_bytes, ==, 0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const int threads = atoi(argv[1]);
  const auto seed = strtoull(argv[2], nullptr, 10);
  printf("seed %llu\n", seed);
  fflush(stdout);
  Detach();
  Begin(kTask, kQuota, "at its limit");
  std::vector<std::vector<void*>> blocks(static_cast<size_t>(threads));
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    blocks[static_cast<size_t>(i)].reserve(1000000);
    workers.emplace_back(Work, seed * 1000 + static_cast<uint64_t>(i) + 1,
                         &blocks[static_cast<size_t>(i)]);
  }
  std::thread sampler(Sample);
  g_go.store(true);
  for (std::thread& worker : workers) worker.join();
  g_stop.store(true);
  sampler.join();
  REQUIRE_COMPARE(g_charged_at_first_refusal.load(), >=, kQuota / 100 * 97);
  const taskmem_usage usage = Usage(kTask);
  REQUIRE_COMPARE(usage.peak_charged_bytes, <=, kQuota);
  REQUIRE_COMPARE(usage.overdrafts, ==, 0);
  REQUIRE_COMPARE(usage.peak_overdraft_bytes, ==, 0);
  REQUIRE_COMPARE(usage.refusals, >=, threads * 2000);
}
