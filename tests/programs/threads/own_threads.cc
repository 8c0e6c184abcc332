// Threads of the library's own come and go, and nothing stays of them: no address space, no
// mapping, no memory. Also in a child that forks while they run; and where this program has more
// thread-local storage than they have stack.
//
//   own_threads sampler|decay ROUNDS
#include "tests/programs/support/own_threads.h"

#include <semaphore.h>
#include <sys/mman.h>

#include "tests/programs/support/spike.h"
#include "tests/programs/support/tasks.h"
#include "tests/programs/support/wait_for.h"

namespace {

#ifndef THREAD_LOCAL_BYTES
#define THREAD_LOCAL_BYTES 16
#endif
thread_local char t_bytes[THREAD_LOCAL_BYTES] = {1};

sem_t g_end;

void* WorkOnce(void* spikes) {
  REQUIRE(t_bytes[0] == 1);
  memset(t_bytes, 2, sizeof(t_bytes));
  if (spikes != nullptr) Spike(1, 1);
  return nullptr;
}

void* UntilEnd(void*) {
  while (sem_wait(&g_end) != 0) {
  }
  return nullptr;
}

struct Footprint {
  int mappings = 0;
  uint64_t bytes = 0;
  uint64_t resident_bytes = ResidentBytes();
};

Footprint Look() {
  Footprint seen;
  FILE* maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  char line[4096];
  while (fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long start = 0;
    unsigned long end = 0;
    if (sscanf(line, "%lx-%lx", &start, &end) != 2 || strstr(line, "vsyscall") != nullptr) continue;
    ++seen.mappings;
    seen.bytes += end - start;
  }
  fclose(maps);
  return seen;
}

// The library's own threads come while this program has one more, and go with it.
void Cycle(bool spikes, const char* name) {
  pthread_t thread;
  pthread_t second;
  REQUIRE(pthread_create(&thread, nullptr, UntilEnd, nullptr) == 0);
  REQUIRE(pthread_create(&second, nullptr, WorkOnce, reinterpret_cast<void*>(spikes)) == 0);
  REQUIRE(pthread_join(second, nullptr) == 0);
  AwaitThreads(name, 1, 1);
  REQUIRE(sem_post(&g_end) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  AwaitThreads("", 1, 1);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2 && IsPreloaded());
  const bool spikes = strcmp(argv[1], "decay") == 0;
  const int rounds = atoi(argv[2]);
  char name[32];
  snprintf(name, sizeof(name), "taskmem-%s", argv[1]);
  REQUIRE(sem_init(&g_end, 0, 0) == 0);
  if (!spikes) {
    void* sparse = mmap(nullptr, kMiB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(sparse != MAP_FAILED);
    Touch(sparse, kMiB);
  }
  constexpr int kWarmUp = 3;
  for (int i = 0; i < kWarmUp; ++i) Cycle(spikes, name);
  const Footprint before = Look();
  for (int i = 0; i < rounds; ++i) Cycle(spikes, name);
  const Footprint after = Look();
  // One that is about to end leaves its stack to nobody: the next has another, of which there are
  // a few.
  constexpr int kFew = 16;
  REQUIRE_COMPARE(after.mappings, <=, before.mappings + kFew);
  REQUIRE_COMPARE(after.bytes, <=, before.bytes + 32 * kMiB);
  REQUIRE_COMPARE(after.resident_bytes, <=, before.resident_bytes + 16 * kMiB);
  // A child of a child, each with threads that are gone in the next.
  for (int depth = 0; depth < 8; ++depth) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, UntilEnd, nullptr) == 0);
    pthread_t second;
    REQUIRE(pthread_create(&second, nullptr, WorkOnce, reinterpret_cast<void*>(spikes)) == 0);
    REQUIRE(pthread_join(second, nullptr) == 0);
    AwaitThreads(name, 1, 1);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child != 0) {
      RequireChildSucceeds(child);
      _exit(0);
    }
    LimitChild();
  }
  const Footprint last = Look();
  REQUIRE_COMPARE(last.mappings, <=, after.mappings + 8 * 2 + kFew);
  _exit(0);
}
