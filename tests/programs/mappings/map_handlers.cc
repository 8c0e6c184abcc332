// A signal handler maps and unmaps while its thread, and another, do the same all the time:
// nothing stands still, and what the library knows stays what the kernel knows. With "slow" a
// third thread maps that gets little of the processors: where it has the library's lock it keeps it
// for long, and many handlers run while theirs waits.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "tests/programs/support/mappings.h"
#include "tests/support/stats_file.h"

namespace {

// Far from where the kernel places what it places itself.
char* const kBase = reinterpret_cast<char*>(uint64_t{1} << 44);
constexpr uint64_t kPages = 64;
constexpr int kSignals = 3000;

volatile int g_signals = 0;
volatile bool g_done = false;

void Use(char* at) {
  REQUIRE(Anonymous(kPages * kPage, PROT_READ | PROT_WRITE, MAP_FIXED, at) == at);
  REQUIRE(mprotect(at, 4 * kPage, PROT_READ) == 0);
  REQUIRE(munmap(at + 8 * kPage, 4 * kPage) == 0);
  REQUIRE(madvise(at, kPage, MADV_DONTNEED) == 0);
  void* const anywhere = Anonymous(kPage);
  REQUIRE(anywhere != MAP_FAILED);
  REQUIRE(munmap(anywhere, kPage) == 0);
  // The last is left mapped every other time.
  if (g_signals % 2 == 0) REQUIRE(munmap(at, kPages * kPage) == 0);
}

void Handle(int) {
  const int saved_errno = errno;
  Use(kBase + (g_signals % 4) * kPages * kPage);
  g_signals = g_signals + 1;
  errno = saved_errno;
}

void* Churn(void* at) {
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  if (at == kBase + 8 * kPages * kPage) pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  Attach(kTask);
  while (!g_done) Use(static_cast<char*>(at));
  return nullptr;
}

// With the lowest priority.
void* ChurnSlowly(void* at) {
  REQUIRE(setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19) == 0);
  Attach(kTask);
  while (!g_done) Use(static_cast<char*>(at));
  return nullptr;
}

void* Spin(void*) {
  while (!g_done) {
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_slow = argc > 1 && strcmp(argv[1], "slow") == 0;
  const int signals = is_slow ? 1000 : kSignals;
  Begin(kTask);
  struct sigaction action = {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0);
  // No handler runs on any thread but the first: two at once would use the same addresses.
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
  constexpr int kMostSlow = 9;
  pthread_t slow[kMostSlow];
  int slow_count = 0;
  if (is_slow) {
    void* const at = kBase + 24 * kPages * kPage;
    REQUIRE(pthread_create(&slow[slow_count++], nullptr, ChurnSlowly, at) == 0);
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    while (slow_count < kMostSlow && slow_count <= processors) {
      REQUIRE(pthread_create(&slow[slow_count++], nullptr, Spin, nullptr) == 0);
    }
  }
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, Churn, kBase + (8 + 8 * i) * kPages * kPage) == 0);
  }
  const itimerval often = {{0, 100}, {0, 100}};
  REQUIRE(setitimer(ITIMER_REAL, &often, nullptr) == 0);
  while (g_signals < signals) usleep(1000);
  const itimerval never = {};
  REQUIRE(setitimer(ITIMER_REAL, &never, nullptr) == 0);
  g_done = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  for (int i = 0; i < slow_count; ++i) pthread_join(slow[i], nullptr);
  RequireMapMatchesKernel(kBase, 32 * kPages * kPage);
  RequireBooksMatchPages();
  REQUIRE(taskmem_sample_residency() == 0);
  RequireBooksMatchPages();
  // Of all those that were replaced since, too.
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  REQUIRE_COMPARE(stats.mappings().lost_events.load(), ==, 0);
}
