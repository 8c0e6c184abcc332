// A mapping that grows downwards (MAP_GROWSDOWN) can grow as far as nothing is mapped, also where
// a thread of the library's own is started beside it: each round is a process of its own, in which
// a thread's stack is such a mapping.
//
//   growing_stack THREAD ROUNDS     THREAD: sampler, decay, reclaim or pager
#include <semaphore.h>
#include <sys/mman.h>

#include "tests/programs/support/hooks.h"
#include "tests/programs/support/own_threads.h"
#include "tests/programs/support/spike.h"
#include "tests/programs/support/wait_for.h"

namespace {

// A stack of 8 MiB is what most systems allow (ulimit -s).
constexpr size_t kRoomBytes = 8 * kMiB;
constexpr size_t kStackBytes = 128 * 1024;
// The kernel's stack_guard_gap: nearer it does not come to others.
constexpr size_t kGapBytes = kMiB;
constexpr uint64_t kQuota = 8 * kMiB;

sem_t g_may_grow;
char* g_bottom = nullptr;
alignas(4096) char g_other_stack[256 * 1024];
BlockCache g_cache(kMiB);

void OnFault(int, siginfo_t* info, void*) {
  dprintf(STDERR_FILENO, "the stack cannot grow to %zu KiB above its room's end\n",
          (static_cast<size_t>(static_cast<char*>(info->si_addr) - g_bottom)) / 1024);
  _exit(1);
}

void WatchFaults() {
  static char stack[64 * 1024];
  stack_t other = {};
  other.ss_sp = stack;
  other.ss_size = sizeof(stack);
  REQUIRE(sigaltstack(&other, nullptr) == 0);
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  REQUIRE(sigaction(SIGSEGV, &action, nullptr) == 0);
}

// The end of a hole that has room for it.
char* MapGrowing() {
  void* hole = mmap(nullptr, kRoomBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(hole != MAP_FAILED);
  REQUIRE(munmap(hole, kRoomBytes) == 0);
  g_bottom = static_cast<char*>(hole);
  char* start = g_bottom + kRoomBytes - kStackBytes;
  REQUIRE(mmap(start, kStackBytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0) == start);
  return start;
}

__attribute__((noinline)) size_t GrowTo(const char* limit) {
  volatile char page[4096];
  page[0] = 1;
  if (const_cast<const char*>(page) < limit) return 1;
  return GrowTo(limit) + static_cast<size_t>(page[0]);
}

void* Grow(void*) {
  WatchFaults();
  while (sem_wait(&g_may_grow) != 0) {
  }
  REQUIRE_COMPARE(GrowTo(g_bottom + kGapBytes + 64 * 1024), >, 1000);
  return nullptr;
}

void* SpikeOnce(void*) {
  Spike(1, 1);
  return nullptr;
}

pthread_t Start(void* (*run)(void*), void* stack, size_t bytes) {
  pthread_attr_t attributes;
  pthread_t thread;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstack(&attributes, stack, bytes) == 0);
  REQUIRE(pthread_create(&thread, &attributes, run, nullptr) == 0);
  return thread;
}

// What has to be there before.
void Prepare(const char* which) {
  if (strcmp(which, "sampler") == 0) {
    void* sparse = mmap(nullptr, kMiB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(sparse != MAP_FAILED);
    Touch(sparse, kMiB);
  }
  // glibc maps an arena for the first thread that allocates, and keeps it for the next.
  if (!IsPreloaded() && strcmp(which, "decay") == 0) {
    REQUIRE(pthread_join(Start(SpikeOnce, g_other_stack, sizeof(g_other_stack)), nullptr) == 0);
  }
  if (!IsPreloaded() || (strcmp(which, "reclaim") != 0 && strcmp(which, "pager") != 0)) return;
  Begin(kTask, kQuota);
  if (strcmp(which, "pager") == 0) return;
  g_cache.Register(kTask, "cache", TASKMEM_RECLAIMER_THREAD);
  Attach(kTask);
  Fill(g_cache, kMiB, 6);
  Detach();
}

// What starts the thread.
void Provoke(const char* which) {
  if (strcmp(which, "decay") == 0) {
    REQUIRE(pthread_join(Start(SpikeOnce, g_other_stack, sizeof(g_other_stack)), nullptr) == 0);
  }
  if (!IsPreloaded()) return;
  if (strcmp(which, "reclaim") == 0 || strcmp(which, "pager") == 0) {
    Attach(kTask);
    for (int i = 0; i < 10; ++i) {
      void* block = malloc(kMiB);
      REQUIRE(block != nullptr);
      Touch(block, kMiB);
      if (i % 2 == 0 && strcmp(which, "reclaim") == 0) free(block);
    }
    Detach();
  }
  char name[16];
  snprintf(name, sizeof(name), "taskmem-%s", which);
  AwaitThreads(name, 1, 1);
}

void Round(const char* which) {
  LimitChild();
  Prepare(which);
  REQUIRE(sem_init(&g_may_grow, 0, 0) == 0);
  const pthread_t thread = Start(Grow, MapGrowing(), kStackBytes);
  Provoke(which);
  REQUIRE(sem_post(&g_may_grow) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const int rounds = atoi(argv[2]);
  for (int i = 0; i < rounds; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Round(argv[1]);
      _exit(0);
    }
    RequireChildSucceeds(child);
  }
}
