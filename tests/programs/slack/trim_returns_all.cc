// malloc_trim gives back what threads that have ended freed, what threads that sleep freed, and
// what this one did.
#include <semaphore.h>

#include "tests/programs/support/spike.h"

namespace {

sem_t g_done;
sem_t g_end;

void* SpikeAndSleep(void*) {
  Spike(4711, 1);
  sem_post(&g_done);
  while (sem_wait(&g_end) != 0) {
  }
  return nullptr;
}

}  // namespace

int main() {
  constexpr int kSleepers = 8;
  sem_init(&g_done, 0, 0);
  sem_init(&g_end, 0, 0);
  pthread_t sleeper[kSleepers];
  const uint64_t before = ResidentBytes();
  for (pthread_t& thread : sleeper) {
    REQUIRE(pthread_create(&thread, nullptr, SpikeAndSleep, nullptr) == 0);
  }
  for (int i = 0; i < kSleepers; ++i) {
    while (sem_wait(&g_done) != 0) {
    }
  }
  SpikeInThreads(16, 1);
  Spike(1, 1);
  // A thread that has said it is done may be on its way to its sleep.
  AwaitResident(before + 20 * kSpikeMiB, [] { malloc_trim(0); });
  for (int i = 0; i < kSleepers; ++i) sem_post(&g_end);
  for (pthread_t thread : sleeper) REQUIRE(pthread_join(thread, nullptr) == 0);
}
