// A signal handler maps and unmaps while its thread, and another, do the same all the time:
// nothing stands still, and what the library knows stays what the kernel knows.
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "tests/programs/support/mappings.h"

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

}  // namespace

int main() {
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
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, Churn, kBase + (8 + 8 * i) * kPages * kPage) == 0);
  }
  const itimerval often = {{0, 100}, {0, 100}};
  REQUIRE(setitimer(ITIMER_REAL, &often, nullptr) == 0);
  while (g_signals < kSignals) usleep(1000);
  const itimerval never = {};
  REQUIRE(setitimer(ITIMER_REAL, &never, nullptr) == 0);
  g_done = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  RequireMapMatchesKernel(kBase, 32 * kPages * kPage);
  RequireBooksMatchPages();
  taskmem_sample_residency();
  RequireBooksMatchPages();
}
