// Children of every kind of fork, while other threads map and unmap: a child knows what it has as
// the kernel does, and its books are its own; the parent's stay as they were.
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/programs/support/mappings.h"

namespace {

char* const kBase = reinterpret_cast<char*>(uint64_t{1} << 44);
constexpr uint64_t kBytes = 256 * kPage;
char* const kQuiet = kBase + kBytes;  // of no other thread
pthread_barrier_t g_started;
volatile bool g_done = false;

void* Churn(void* at) {
  Attach(kTask);
  pthread_barrier_wait(&g_started);
  while (!g_done) {
    REQUIRE(Anonymous(64 * kPage, PROT_READ | PROT_WRITE, MAP_FIXED, at) == at);
    REQUIRE(munmap(at, 32 * kPage) == 0);
    void* const anywhere = Anonymous(kPage);
    REQUIRE(anywhere != MAP_FAILED && munmap(anywhere, kPage) == 0);
  }
  return nullptr;
}

void Await(pid_t child) {
  int status = 0;
  REQUIRE(child > 0);
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

// In a child with books of its own.
[[noreturn]] void BeChild(void* mine, bool others_were_amid) {
  REQUIRE(munmap(mine, kMiB) == 0);
  void* const more = Anonymous(3 * kMiB);
  REQUIRE(more != MAP_FAILED);
  if (!others_were_amid) {
    RequireMapMatchesKernel(kBase, 2 * kBytes);
    RequireBooksMatchPages();
  }
  REQUIRE_COMPARE(Charged(kTask), >=, 3 * kMiB);
  REQUIRE(munmap(more, 3 * kMiB) == 0);
  _exit(0);
}

}  // namespace

int main() {
  Begin(kTask);
  Attach(kTask);
  void* const mine = Anonymous(kMiB);
  REQUIRE(mine != MAP_FAILED);
  void* const leaves = Anonymous(2 * kMiB);
  REQUIRE(madvise(leaves, 2 * kMiB, MADV_DONTFORK) == 0);
  for (uint64_t i = 0; i < 10; ++i) {
    char* const at = kQuiet + 3 * i * kPage;
    REQUIRE(Anonymous(2 * kPage, i % 2 == 0 ? PROT_READ : PROT_NONE, MAP_FIXED, at) == at);
  }
  pthread_barrier_init(&g_started, nullptr, 3);
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, Churn, kBase + i * 64 * kPage) == 0);
  }
  pthread_barrier_wait(&g_started);
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) BeChild(mine, false);
    Await(child);
  }
  for (int i = 0; i < 100; ++i) {
    const long child = syscall(SYS_fork);
    if (child == 0) BeChild(mine, true);
    Await(static_cast<pid_t>(child));
  }
  g_done = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  // Alone, what a child finds is right however it was made.
  const long raw = syscall(SYS_fork);
  if (raw == 0) BeChild(mine, false);
  Await(static_cast<pid_t>(raw));
  // A child in the same address space maps into it.
  const uint64_t before = Charged(kTask);
  void* volatile got = MAP_FAILED;
  const pid_t child = vfork();
  if (child == 0) {
    got = Anonymous(kMiB);
    _exit(0);
  }
  Await(child);
  REQUIRE(got != MAP_FAILED);
  REQUIRE_COMPARE(Charged(kTask), ==, before + kMiB);
  REQUIRE(munmap(got, kMiB) == 0);
  REQUIRE(munmap(kBase, 2 * kBytes) == 0);
  REQUIRE(munmap(mine, kMiB) == 0);
  REQUIRE(munmap(leaves, 2 * kMiB) == 0);
  RequireMapMatchesKernel(kBase, 2 * kBytes);
  RequireBooksMatchPages();
}
