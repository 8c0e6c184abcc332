// Threads that take much memory in small blocks and free all of it.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_SPIKE_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_SPIKE_H_

#include <malloc.h>
#include <pthread.h>

#include "tests/programs/support/check.h"

inline constexpr uint64_t kSpikeMiB = uint64_t{1} << 20;

// About 16 MiB in 4000 blocks, `rounds` times.
inline void Spike(uint64_t seed, int rounds) {
  constexpr int kBlocks = 4000;
  uint64_t random = seed;
  char* blocks[kBlocks];
  for (int round = 0; round < rounds; ++round) {
    for (char*& block : blocks) {
      const size_t size = 64 + NextRandom(&random) % 8000;
      block = static_cast<char*>(malloc(size));
      REQUIRE(block != nullptr);
      memset(block, 1, size);
    }
    for (char* block : blocks) free(block);
  }
}

// The same by that many threads at once, which end.
inline void SpikeInThreads(int threads, int rounds) {
  constexpr int kMost = 64;
  pthread_t thread[kMost];
  REQUIRE(threads <= kMost);
  const auto work = [](void* packed) -> void* {
    const auto value = reinterpret_cast<uintptr_t>(packed);
    Spike(value >> 8, static_cast<int>(value & 0xff));
    return nullptr;
  };
  for (int i = 0; i < threads; ++i) {
    const auto packed = static_cast<uintptr_t>(i + 1) << 8 | static_cast<uintptr_t>(rounds);
    REQUIRE(pthread_create(&thread[i], nullptr, work, reinterpret_cast<void*>(packed)) == 0);
  }
  for (int i = 0; i < threads; ++i) REQUIRE(pthread_join(thread[i], nullptr) == 0);
}

// Waits until at most `bytes` are in memory, while step() is done again and again.
template <typename Step>
void AwaitResident(uint64_t bytes, Step step) {
  constexpr int kMostSteps = 60'000;
  for (int i = 0; ResidentBytes() > bytes; ++i) {
    if (i == kMostSteps) REQUIRE_COMPARE(ResidentBytes(), <=, bytes);
    step();
    usleep(1000);
  }
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_SPIKE_H_
