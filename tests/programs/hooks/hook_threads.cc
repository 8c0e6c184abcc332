// Hooks and threads: hooks that hang, end their thread, or leave while they run; forks.
//
//   hook_threads WHAT
#include <sys/syscall.h>

#include <thread>

#include "accounting/tasks/reclaim_book.h"
#include "tests/programs/support/hooks.h"
#include "tests/programs/support/wait_for.h"
#include "tests/support/stats_file.h"

namespace {

constexpr uint64_t kQuota = 16 * kMiB;

BlockCache g_cache(kMiB);
BlockCache g_other(kMiB);
std::atomic<bool> g_is_inside{false};
std::atomic<bool> g_may_go_on{false};

template <typename Condition>
void Await(Condition condition) {
  while (!condition()) usleep(1000);
}

uint64_t Hangs(void*, uint64_t bytes, taskmem_consumer) {
  g_is_inside = true;
  Await([] { return g_may_go_on.load(); });
  g_is_inside = false;
  return g_cache.Free(bytes);
}

void FillFor(BlockCache& cache, int blocks) {
  Attach(kTask);
  Fill(cache, kMiB, blocks);
  Detach();
}

void FillToQuota(taskmem_spill_fn spill, int run_on, int blocks = 16) {
  Begin(kTask, kQuota, "threads");
  g_cache.Register(kTask, "cache", run_on, spill);
  FillFor(g_cache, blocks);
}

// The threads work for the task only here: whatever else they allocate asks no hook.
void Take(bool is_served) {
  Attach(kTask);
  void* block = malloc(kMiB);
  Detach();
  REQUIRE((block != nullptr) == is_served);
  free(block);
}

std::thread TakeOnAnotherThread() {
  std::thread thread([] { Take(true); });
  Await([] { return g_is_inside.load(); });
  return thread;
}

// Others wait for it once, and not again.
void HangsOnItsThread() {
  FillToQuota(Hangs, TASKMEM_ALLOCATING_THREAD, 8);
  g_other.Register(kTask, "other", TASKMEM_ALLOCATING_THREAD);
  FillFor(g_other, 8);
  taskmem_consumer_report(g_cache.consumer, 7 * kMiB);  // the smaller: asked first
  std::thread hanging = TakeOnAnotherThread();
  Take(true);
  REQUIRE_COMPARE(g_other.calls, ==, 1);
  g_may_go_on = true;
  hanging.join();
}

// It delays an allocation, other reclaimers' hooks go on, and its end is noticed.
void HangsOnAReclaimer() {
  FillToQuota(Hangs, TASKMEM_RECLAIMER_THREAD);
  Take(false);
  REQUIRE(g_is_inside);
  Take(false);  // without a wait
  taskmem_consumer_report(g_cache.consumer, kMiB);
  g_other.Register(kTask, "other", TASKMEM_RECLAIMER_THREAD);
  g_cache.Free(4 * kMiB);
  FillFor(g_other, 4);
  Take(true);
  REQUIRE_COMPARE(g_other.calls, ==, 1);
  g_may_go_on = true;
  REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, 0);
  REQUIRE(!g_is_inside);
  g_cache.consumer = 0;
}

void UnregisteredInFlight() {
  FillToQuota(Hangs, TASKMEM_RECLAIMER_THREAD);
  // Whether it is served depends on this thread, whose blocks are freed: it may be at work.
  std::thread waiting([] {
    Attach(kTask);
    free(malloc(kMiB));
    Detach();
  });
  Await([] { return g_is_inside.load(); });
  std::thread unregistering([] {
    REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, 0);
    REQUIRE(!g_is_inside);
  });
  Await([] { return taskmem_consumer_report(g_cache.consumer, 1) == ENOENT; });
  g_may_go_on = true;
  unregistering.join();
  waiting.join();
}

void EndsItsThread() {
  static bool has_ended = false;
  FillToQuota([](void*, uint64_t, taskmem_consumer) -> uint64_t { pthread_exit(nullptr); },
              TASKMEM_ALLOCATING_THREAD);
  std::thread([] {
    struct AtEnd {
      ~AtEnd() {
        free(malloc(100));
        has_ended = true;
      }
    } at_end;
    Take(true);
    REQUIRE(!"reached");
  }).join();
  REQUIRE(has_ended);
  REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, 0);
  g_cache.Register(kTask, "cache", TASKMEM_ALLOCATING_THREAD);
  g_cache.Free(kMiB);
  FillFor(g_cache, 3);
  g_cache.calls = 0;
}

// malloc is no cancellation point, whatever the hook does.
void IsCancelled() {
  static std::atomic<bool> was_served{false};
  FillToQuota(
      [](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
        g_is_inside = true;
        Await([] { return g_may_go_on.load(); });  // sleeps, where threads are cancelled
        return g_cache.Free(bytes);
      },
      TASKMEM_ALLOCATING_THREAD);
  pthread_t thread;
  REQUIRE_COMPARE(pthread_create(
                      &thread, nullptr,
                      [](void*) -> void* {
                        Attach(kTask);
                        void* block = malloc(kMiB);
                        was_served = block != nullptr;
                        free(block);
                        for (;;) pause();
                      },
                      nullptr),
                  ==, 0);
  Await([] { return g_is_inside.load(); });
  pthread_cancel(thread);
  g_may_go_on = true;
  pthread_join(thread, nullptr);
  REQUIRE(was_served);
}

// In the child the reclaimer is started anew.
void ChildHasItsOwnReclaimer() {
  FillToQuota(BlockCache::Spill, TASKMEM_RECLAIMER_THREAD);
  Take(true);
  const int calls = g_cache.calls;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  g_cache.Free(kMiB);
  FillFor(g_cache, 3);
  REQUIRE_COMPARE(g_cache.calls, >, calls);
  if (child == 0) {
    LimitChild();
    RequireBooksMatchPages();
    _exit(0);
  }
  RequireChildSucceeds(child);
}

// A hook that hangs in the parent hangs nobody in the child.
void ForksWhileOneHangs() {
  FillToQuota(Hangs, TASKMEM_ALLOCATING_THREAD);
  std::thread hanging = TakeOnAnotherThread();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    LimitChild();
    g_may_go_on = true;
    Take(true);
    REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, 0);
    _exit(0);
  }
  RequireChildSucceeds(child);
  g_may_go_on = true;
  hanging.join();
}

// The memory is the parent's: a vfork child asks nobody.
void VforkChildAsksNobody() {
  FillToQuota(BlockCache::Spill, TASKMEM_ALLOCATING_THREAD);
  const pid_t child = vfork();
  REQUIRE(child >= 0);
  if (child == 0) {
    taskmem_thread_attach(kTask, nullptr);
    free(malloc(kMiB));
    taskmem_thread_detach();
    _exit(0);
  }
  RequireChildSucceeds(child);
  REQUIRE_COMPARE(g_cache.calls, ==, 0);
  Take(true);
  REQUIRE_COMPARE(g_cache.calls, ==, 1);
}

// A process ends with its last thread: the reclaimer is none of them.
void MainEndsFirst() {
  FillToQuota(BlockCache::Spill, TASKMEM_RECLAIMER_THREAD);
  Take(true);
  std::thread([] {
    FillFor(g_cache, 4);
    REQUIRE_COMPARE(g_cache.calls, >, 1);
  }).detach();
  alarm(60);
  pthread_exit(nullptr);
}

// The reclaimer frees before the quota is reached.
void SoftLimit() {
  FillToQuota(BlockCache::Spill, TASKMEM_RECLAIMER_THREAD, 12);
  const auto stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  const taskmem::ReclaimBook* book = stats.FindReclaim(kTask);
  // What the reclaimer frees of a thread at work shows as that thread allocates. A hook that
  // found the cache locked is asked again as the task grows.
  Attach(kTask);
  size_t size = 300'000;
  Await([&] {
    free(malloc(1000));
    void* block = malloc(size);
    free(block);
    if (size < 3 * kMiB) size += 20'000;
    return book->soft_spill_calls > 0 && Charged(kTask) <= kQuota / 2;
  });
  Detach();
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, 0);
  REQUIRE_COMPARE(book->soft_spill_calls, >, 0);
  REQUIRE_COMPARE(book->soft_spill_asked_bytes, >, 0);
  REQUIRE_COMPARE(book->spill_calls, ==, 0);
  // Where nothing can be freed it is not asked for ever.
  g_cache.Free(UINT64_MAX);
  const int calls = g_cache.calls;
  taskmem_consumer_report(g_cache.consumer, kMiB);
  Attach(kTask);
  void* blocks[12];
  for (void*& block : blocks) {
    block = malloc(kMiB);
    REQUIRE(block != nullptr);
  }
  Await([&] { return g_cache.calls > calls; });
  REQUIRE_COMPARE(g_cache.calls, <=, calls + 12 * 40);
  for (void* block : blocks) free(block);
  Detach();
}

uint64_t UsesMuchStack(void*, uint64_t bytes, taskmem_consumer) {
  volatile char stack[960 * 1024];
  for (size_t at = 0; at < sizeof(stack); at += 4096) stack[at] = 1;
  g_is_inside = true;
  return g_cache.Free(bytes);
}

// What the reclaimer's thread is said to have; also when it is another.
void HasStack() {
  FillToQuota(UsesMuchStack, TASKMEM_RECLAIMER_THREAD);
  Take(true);
  REQUIRE(g_is_inside);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    LimitChild();
    g_is_inside = false;
    FillFor(g_cache, 1);
    Take(true);
    REQUIRE(g_is_inside);
    _exit(0);
  }
  RequireChildSucceeds(child);
}

constexpr struct {
  const char* name;
  void (*run)();
} kModes[] = {{"hangs", HangsOnItsThread},
              {"hangs_reclaimer", HangsOnAReclaimer},
              {"unregister_in_flight", UnregisteredInFlight},
              {"thread_exit", EndsItsThread},
              {"cancel", IsCancelled},
              {"fork", ChildHasItsOwnReclaimer},
              {"fork_while_hanging", ForksWhileOneHangs},
              {"vfork", VforkChildAsksNobody},
              {"main_ends", MainEndsFirst},
              {"soft_limit", SoftLimit},
              {"stack", HasStack}};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  for (const auto& mode : kModes) {
    if (strcmp(mode.name, argv[1]) != 0) continue;
    mode.run();
    g_cache.Free(UINT64_MAX);
    g_other.Free(UINT64_MAX);
    End(kTask);
    RequireBooksMatchPages();
    return 0;
  }
  REQUIRE(!"a mode");
}
