// A beginner's hook: it locks the mutex that a thread holds while it allocates.
//
//   hook_deadlocks WHERE LOG   own: the hook runs inside that thread's allocation, and nobody would
//                              ever go on; other: inside another thread's; reclaimer: on taskmem's
// LOG: the file of TASKMEM_LOG; "-" with own: this ends with 3 where the hook hangs, whatever is
// said.
#include <fcntl.h>
#include <sys/syscall.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "tests/programs/support/hooks.h"

namespace {

constexpr uint64_t kQuota = 16 * kMiB;

BlockCache g_cache(kMiB);
pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
std::atomic<bool> g_is_inside{false};
std::atomic<bool> g_has_ended{false};

uint64_t Locks(void*, uint64_t bytes, taskmem_consumer) {
  g_is_inside = true;
  pthread_mutex_lock(&g_mutex);
  const uint64_t freed = g_cache.Free(bytes);
  pthread_mutex_unlock(&g_mutex);
  g_has_ended = true;
  return freed;
}

template <typename Condition>
void Await(Condition condition) {
  while (!condition()) usleep(1000);
}

bool Has(const char* file, const char* what) {
  static char text[1 << 16];
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
  if (fd >= 0) close(fd);
  text[got > 0 ? got : 0] = '\0';
  return strstr(text, what) != nullptr;
}

void FillToQuota(int run_on) {
  Begin(kTask, kQuota, "query");
  g_cache.Register(kTask, "cache", run_on, Locks);
  Attach(kTask);
  Fill(g_cache, kMiB, 16);
  Detach();
}

bool TakeWithLock() {
  Attach(kTask);
  pthread_mutex_lock(&g_mutex);
  void* block = malloc(kMiB);
  pthread_mutex_unlock(&g_mutex);
  Detach();
  const bool is_served = block != nullptr;
  free(block);
  return is_served;
}

void Own(const char* log) {
  FillToQuota(TASKMEM_ALLOCATING_THREAD);
  std::thread rescuer([log] {
    Await([] { return g_is_inside.load(); });
    Await([log] { return Has(log, "hook cache"); });
    // In this thread's stead: glibc's plain mutexes do not ask who unlocks them.
    pthread_mutex_unlock(&g_mutex);
  });
  // It locked the mutex, which is unlocked twice.
  Attach(kTask);
  pthread_mutex_lock(&g_mutex);
  void* block = malloc(kMiB);
  Detach();
  REQUIRE(block != nullptr);
  free(block);
  rescuer.join();
}

void OwnForEver() {
  FillToQuota(TASKMEM_ALLOCATING_THREAD);
  std::thread([] {
    Await([] { return g_is_inside.load(); });
    // Longer than anybody waits.
    usleep(700'000);
    _exit(3);
  }).detach();
  TakeWithLock();
  REQUIRE(!"reached");
}

// The other one waits for the spill, in vain, and then it gives up the lock.
void Other(const char*) {
  FillToQuota(TASKMEM_ALLOCATING_THREAD);
  pthread_mutex_lock(&g_mutex);
  std::thread spilling([] {
    Attach(kTask);
    void* block = malloc(kMiB);
    Detach();
    REQUIRE(block != nullptr);
    free(block);
  });
  Await([] { return g_is_inside.load(); });
  Attach(kTask);
  void* block = malloc(kMiB);
  Detach();
  REQUIRE(block == nullptr);
  pthread_mutex_unlock(&g_mutex);
  spilling.join();
}

void Reclaimer(const char*) {
  FillToQuota(TASKMEM_RECLAIMER_THREAD);
  REQUIRE(!TakeWithLock());
  Await([] { return g_has_ended.load(); });
  REQUIRE(TakeWithLock());
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 3);
  printf("%d\n", static_cast<int>(syscall(SYS_gettid)));
  fflush(stdout);
  if (strcmp(argv[2], "-") == 0) OwnForEver();
  if (strcmp(argv[1], "own") == 0) Own(argv[2]);
  if (strcmp(argv[1], "other") == 0) Other(argv[2]);
  if (strcmp(argv[1], "reclaimer") == 0) Reclaimer(argv[2]);
  REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, 0);
  g_cache.consumer = 0;
  g_cache.Free(UINT64_MAX);
  End(kTask);
  RequireBooksMatchPages();
  return 0;
}
