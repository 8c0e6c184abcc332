// With a tiny --memory 16 threads work for tasks that begin and end, and are interrupted all
// the time by handlers that allocate and free. Wherever in the pools a thread is, nobody
// waits for ever, and the books agree. The argument is the seed.
//
// A handler may not interrupt malloc's fast path, take a block from it, or free what the
// interrupted thread has allocated (with glibc it may do nothing of the kind): while signals
// come, threads take and free large blocks, which never go there; handlers take blocks that
// do not either, and free what the feeder allocated.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/pools.h"

namespace {

constexpr uint64_t kThreads = 16;
constexpr int kSteps = 300;
constexpr size_t kSmallest = 1025;  // from here on malloc has no fast path

// Somebody is about to put a block there.
void* const kReserved = reinterpret_cast<void*>(uintptr_t{1});

using Places = std::atomic<void*>[256];

Places g_from_handlers;  // freed by the feeder
Places g_for_handlers;
Places g_large;  // from thread to thread
Places g_small;
std::atomic<uint64_t> g_calls{0};
std::atomic<int> g_tids[kThreads];
std::atomic<uint64_t> g_done{0};

std::atomic<void*>& AnyOf(Places& places, uint64_t* random) {
  return places[NextRandom(random) % 256];
}

void Handle(int) {
  const int saved_errno = errno;
  const uint64_t call = g_calls.fetch_add(1);
  uint64_t random = call * 0x9e3779b97f4a7c15u + 1;
  std::atomic<void*>& place = AnyOf(g_from_handlers, &random);
  // Taken by another handler, or not freed yet: this one goes without.
  void* none = nullptr;
  if (place.compare_exchange_strong(none, kReserved)) {
    const size_t size = call % 16 == 0 ? 300'000 : kSmallest + NextRandom(&random) % 5000;
    char* block = static_cast<char*>(malloc(size));
    if (block != nullptr) block[size - 1] = 1;
    place.store(block);
  }
  free(AnyOf(g_for_handlers, &random).exchange(nullptr));
  errno = saved_errno;
}

void Exchange(Places& places, uint64_t* random, size_t size) {
  char* block = static_cast<char*>(malloc(size));
  if (block != nullptr) block[size - 1] = 1;
  free(AnyOf(places, random).exchange(block));
}

void Mask(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGALRM);
  sigaddset(&signals, SIGUSR1);
  REQUIRE(pthread_sigmask(how, &signals, nullptr) == 0);
}

void Work(uint64_t i, uint64_t seed) {
  g_tids[i].store(static_cast<int>(syscall(SYS_gettid)));
  uint64_t random = seed * 1000 + i + 1;
  uint64_t id = kTask + i * 1'000'000;
  Begin(id);
  Attach(id);
  for (int step = 0; step < kSteps; ++step) {
    // Some are refused, some let through.
    Mask(SIG_UNBLOCK);
    for (int n = 0; n < 10; ++n) {
      Exchange(g_large, &random, 140'000 + NextRandom(&random) % 300'000);
    }
    Mask(SIG_BLOCK);
    for (int n = 0; n < 10; ++n) Exchange(g_small, &random, 16 + NextRandom(&random) % 8000);
    if (step % 20 == 19) {
      End(id);
      Begin(++id);
      Attach(id);
    }
    if (step % 20 == 10) malloc_trim(0);
  }
  Detach();
  End(id);
  g_tids[i].store(0);
  g_done.fetch_add(1);
}

// Has no signals. Its task's blocks are credited inside handlers.
void Feed(uint64_t seed) {
  uint64_t random = seed + 77;
  const uint64_t id = kTask + kThreads * 1'000'000;
  Begin(id);
  Attach(id);
  while (g_done.load() < kThreads) {
    const size_t size = NextRandom(&random) % 16 == 0 ? 200'000 : 16 + NextRandom(&random) % 5000;
    free(AnyOf(g_for_handlers, &random).exchange(malloc(size)));
    std::atomic<void*>& place = AnyOf(g_from_handlers, &random);
    void* const block = place.load();
    if (block != nullptr && block != kReserved) {
      place.store(nullptr);  // nobody else takes a block away
      free(block);
    }
  }
  Detach();
  End(id);
}

// One signal after the other, to each thread in turn.
void Interrupt() {
  for (uint64_t i = 0; g_done.load() < kThreads; i = (i + 1) % kThreads) {
    const int tid = g_tids[i].load();
    if (tid != 0) syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
    usleep(20);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const auto seed = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", seed);
  fflush(stdout);
  Mask(SIG_BLOCK);
  struct sigaction action = {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (const int signal : {SIGALRM, SIGUSR1}) {
    REQUIRE(sigaction(signal, &action, nullptr) == 0);
  }
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(Work, i, seed);
  const itimerval often = {{0, 100}, {0, 100}};
  REQUIRE(setitimer(ITIMER_REAL, &often, nullptr) == 0);
  std::thread interrupts(Interrupt);
  std::thread feeder(Feed, seed);
  for (std::thread& thread : threads) thread.join();
  interrupts.join();
  feeder.join();
  const itimerval never = {};
  REQUIRE(setitimer(ITIMER_REAL, &never, nullptr) == 0);
  REQUIRE_COMPARE(g_calls.load(), >, 100);
  for (Places* places : {&g_from_handlers, &g_for_handlers, &g_large, &g_small}) {
    for (std::atomic<void*>& place : *places) free(place.exchange(nullptr));
  }
  malloc_trim(0);
  RequireBooksMatchPages();
  for (uint32_t slot = taskmem::kEndedTasksSlot; slot < stats.slots(); ++slot) {
    const uint64_t id = stats.book(slot).task_id.load();
    if (id < kTask || id >= TASKMEM_IMPLICIT_TASK) continue;
    REQUIRE_COMPARE(stats.book(slot).charged_bytes.load(), ==, 0);
  }
  // Some ended tasks may have been left with an idle grant: the first who needs it gets it.
  Begin(kTask);
  Attach(kTask);
  free(malloc(kMiB));
  REQUIRE(malloc(size_t{1} << 50) == nullptr);
  Detach();
  RequirePoolsMatchBooks(stats);
}
