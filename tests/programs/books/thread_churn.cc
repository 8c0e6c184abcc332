// 100,000 threads, each leaving blocks that others free: the process does not
// grow after the first tenth, and the books end at 0. The argument is the seed.
#include <malloc.h>
#include <pthread.h>

#include "tests/programs/support/tasks.h"

namespace {

constexpr int kAtOnce = 10;
constexpr int kRounds = 10000;
constexpr int kBlocks = 100;

struct Work {
  uint64_t random;
  void* blocks[kBlocks];
};

pthread_barrier_t g_barrier;

void* Thread(void* argument) {
  auto* work = static_cast<Work*>(argument);
  Attach(kTask);
  // All of a round are alive at once, so that the first tenth sees the most there will be.
  pthread_barrier_wait(&g_barrier);
  for (void*& block : work->blocks) {
    free(block);  // of a thread that is no more
    block = malloc(1 + NextRandom(&work->random) % 2000);
    *static_cast<char*>(block) = 1;
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const uint64_t seed = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", static_cast<unsigned long long>(seed));
  fflush(stdout);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_barrier_init(&g_barrier, nullptr, kAtOnce);
  static Work works[kAtOnce];
  for (int i = 0; i < kAtOnce; ++i) works[i].random = seed * 100 + static_cast<uint64_t>(i) + 1;
  // Not attached itself: what libc keeps for a thread is its creator's.
  Detach();
  Begin(kTask);
  uint64_t resident_early = 0;
  uint64_t charged_early = 0;
  for (int round = 0; round < kRounds; ++round) {
    pthread_t threads[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) {
      // Each frees what another left.
      REQUIRE(pthread_create(&threads[i], &attributes, Thread, &works[(i + round) % kAtOnce]) == 0);
    }
    for (pthread_t thread : threads) REQUIRE(pthread_join(thread, nullptr) == 0);
    if (round == kRounds / 10) {
      resident_early = ResidentBytes();
      charged_early = Charged(kTask);
    }
  }
  // What the allocator keeps for later uses still settles, in a few MiB.
  REQUIRE_COMPARE(ResidentBytes(), <=, 2 * resident_early + 8 * kMiB);
  REQUIRE_COMPARE(Charged(kTask), <=, 2 * charged_early);
  REQUIRE_COMPARE(Usage(kTask).threads, ==, 0);
  for (Work& work : works) {
    for (void* block : work.blocks) free(block);
  }
  RequireBooksMatchPages();
  malloc_trim(0);
  REQUIRE_COMPARE(Charged(kTask), ==, 0);
}
