// What was freed leaves memory by itself: after threads that have ended ("ended"), those that
// sleep while others come and go ("asleep"), and in a program without threads, which goes on
// allocating a little ("alone").
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

void Asleep(uint64_t bytes) {
  constexpr int kThreads = 24;
  sem_init(&g_done, 0, 0);
  sem_init(&g_end, 0, 0);
  pthread_t sleeper[kThreads];
  for (pthread_t& thread : sleeper) {
    REQUIRE(pthread_create(&thread, nullptr, SpikeAndSleep, nullptr) == 0);
  }
  for (int i = 0; i < kThreads; ++i) {
    while (sem_wait(&g_done) != 0) {
    }
  }
  AwaitResident(bytes, [] {
    pthread_t thread;
    const auto nothing = [](void*) -> void* { return nullptr; };
    REQUIRE(pthread_create(&thread, nullptr, nothing, nullptr) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
  });
  for (int i = 0; i < kThreads; ++i) sem_post(&g_end);
  for (pthread_t thread : sleeper) REQUIRE(pthread_join(thread, nullptr) == 0);
}

void UseALittle() {
  for (size_t i = 0; i < 2000; ++i) free(Hide(malloc(100 + i * 7 % 9000)));
}

}  // namespace

int main(int, char** arguments) {
  const uint64_t bytes = ResidentBytes() + 40 * kSpikeMiB;
  if (strcmp(arguments[1], "ended") == 0) {
    SpikeInThreads(24, 1);
    AwaitResident(bytes, [] {});
  } else if (strcmp(arguments[1], "asleep") == 0) {
    Asleep(bytes);
  } else {
    Spike(1, 1);
    for (int i = 0; i < 8; ++i) free(Hide(calloc(1, 15 * kSpikeMiB)));
    AwaitResident(bytes, UseALittle);
  }
}
