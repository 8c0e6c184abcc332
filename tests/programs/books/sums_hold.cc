// The books are what the pages say, for each task and in total, in whatever state tasks, threads
// and libraries are; and once all is freed nothing is charged. argv: the case, a seed, and for
// "unloaded" the library.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <atomic>
#include <new>

#include "tests/programs/support/sums.h"
#include "tests/programs/support/wait_for.h"

namespace {

uint64_t g_seed = 1;
const char* g_library = nullptr;

uint64_t Seeded(uint64_t i) { return g_seed * 1'000'003 + i * 7919 + 1; }

// Everything is freed by the main thread and others, in parts.
void ReleaseInParts() {
  g_store.ReleaseEvery(3);
  RequireBooksMatchPages();
  OnThread([] { g_store.ReleaseEvery(2); });
  RequireBooksMatchPages();
  malloc_trim(0);
  RequireBooksMatchPages();
  g_store.ReleaseAll();
  RequireBooksMatchPages();
  RequireNothingCharged();
}

void BeginSome(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) Begin(kTask + i);
}

void EndSome(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) End(kTask + i);
}

// Threads that hold for several tasks, and end as `is_bare` says.
void ThreadsThatEnd(bool is_bare) {
  for (uint64_t round = 0; round < 4; ++round) {
    BeginSome(5);
    OnThreads(16, [=](size_t i) {
      uint64_t random = Seeded(round * 100 + i);
      for (uint64_t turn = 0; turn < 3; ++turn) {
        Attach(kTask + (i + turn) % 5);
        g_store.HoldMore(200, &random);
      }
      if (is_bare) syscall(SYS_exit, 0);
    });
    RequireBooksMatchPages();
    // Others go on with what these left, some of it of tasks that have ended.
    if (round % 2 == 0) EndSome(3);
    RequireBooksMatchPages();
    OnThreads(8, [=](size_t i) {
      uint64_t random = Seeded(round * 100 + 50 + i);
      Attach(kTask + 4);
      g_store.HoldMore(100, &random);
      g_store.Add(Hold(&random));
      if (is_bare && i % 2 == 0) syscall(SYS_exit, 0);
    });
    RequireBooksMatchPages();
    if (round % 2 == 0) {
      End(kTask + 3);
      End(kTask + 4);
    }
    ReleaseInParts();
    if (round % 2 != 0) EndSome(5);
    RequireBooksMatchPages();
  }
}

void EndedThreads() { ThreadsThatEnd(false); }

void BareExit() { ThreadsThatEnd(true); }

// Ended by who holds, while it works for it; by others; and by a thread that sleeps.
void EndedTasks() {
  for (uint64_t round = 0; round < 6; ++round) {
    BeginSome(8);
    uint64_t random = Seeded(round);
    for (uint64_t i = 0; i < 4; ++i) {
      Attach(kTask + i);
      g_store.HoldMore(300, &random);
      if (i % 2 == 0) End(kTask + i);
      RequireBooksMatchPages();
      // Of no task now, or of the one that lives.
      g_store.HoldMore(50, &random);
      RequireBooksMatchPages();
    }
    Detach();
    OnThreads(4, [=](size_t i) {
      uint64_t own = Seeded(round * 100 + i);
      Attach(kTask + 4 + i);
      g_store.HoldMore(300, &own);
      if (i % 2 == 0) End(kTask + 4 + i);
      g_store.HoldMore(50, &own);
    });
    RequireBooksMatchPages();
    for (const uint64_t i : {1, 3, 5, 7}) End(kTask + i);
    RequireBooksMatchPages();
    // The same ids, anew, while their blocks live.
    Begin(kTask);
    Attach(kTask);
    g_store.HoldMore(100, &random);
    RequireBooksMatchPages();
    Detach();
    ReleaseInParts();
    End(kTask);
  }
}

// More than are listed: the oldest are added up.
void FoldedTasks() {
  constexpr uint64_t kTasks = 9000;
  uint64_t random = Seeded(0);
  const auto hold = [&random](uint64_t i) {
    Begin(kTask + i);
    Attach(kTask + i);
    if (i % 4 == 0) {
      for (int j = 0; j < 40; ++j) g_store.Add({malloc(500 + i % 100), 0});  // pages of its own
    }
    for (int j = 0; j < 4; ++j) g_store.Add({malloc(1 + NextRandom(&random) % 900), 0});
    if (i % 16 == 0) g_store.Add({memalign(8192, 9000), 0});
    if (i % 50 == 0) g_store.HoldMore(3, &random);
    if (i % 500 == 0) {
      g_store.Add({malloc(200'000), 0});
      g_store.Add({malloc(18 * kMiB), 0});
    }
    End(kTask + i);
  };
  for (uint64_t i = 0; i < kTasks; ++i) {
    hold(i);
    if (i % 1500 == 0) RequireBooksMatchPages();
  }
  Detach();
  RequireBooksMatchPages();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  REQUIRE_COMPARE(stats.book(taskmem::kEndedTasksSlot).charged_bytes.load(), >, 0);
  g_store.ReleaseEvery(2);
  RequireBooksMatchPages();
  OnThreads(2, [&](size_t which) {
    uint64_t own = Seeded(which + 1);
    for (uint64_t i = 0; i < 2000; ++i) {
      const uint64_t id = kTask + 20'000 + which * 10'000 + i;
      Begin(id);
      Attach(id);
      g_store.Add({malloc(1 + NextRandom(&own) % 9000), 0});
      End(id);
    }
  });
  RequireBooksMatchPages();
  ReleaseInParts();
}

void Rename(const char* name) { REQUIRE(prctl(PR_SET_NAME, name) == 0); }

// Run with --task-by thread-name=^task-([0-9]+) and, of choice, --task-per-rename.
void RenamedThreads() {
  for (uint64_t round = 0; round < 3; ++round) {
    OnThreads(8, [=](size_t i) {
      uint64_t random = Seeded(round * 100 + i);
      for (int turn = 0; turn < 40; ++turn) {
        char name[16];
        snprintf(name, sizeof(name), "task-%d", turn % 7);
        Rename(name);
        g_store.HoldMore(15, &random);
        Rename(turn % 3 == 0 ? "idle" : "task-9");
        g_store.HoldMore(15, &random);
        Rename("task-9 again");
        g_store.HoldMore(5, &random);
      }
    });
    RequireBooksMatchPages();
    // One that is renamed by another, while it holds.
    std::atomic<int> step{0};
    const pthread_t self = pthread_self();
    Rename("task-77");
    uint64_t random = Seeded(round);
    g_store.HoldMore(50, &random);
    OnThread([&] {
      REQUIRE(pthread_setname_np(self, "task-78") == 0);
      step.store(1);
    });
    REQUIRE_COMPARE(step.load(), ==, 1);
    g_store.HoldMore(50, &random);
    RequireBooksMatchPages();
    Rename("nobody");
    ReleaseInParts();
  }
}

// A library goes while what it allocated and mapped lives, and comes again.
void UnloadedLibrary() {
  void* before = nullptr;
  int loaded_in_place = 0;
  for (uint64_t round = 0; round < 6; ++round) {
    void* const library = dlopen(g_library, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    auto* const allocate = reinterpret_cast<void* (*)(size_t)>(dlsym(library, "SumsAllocate"));
    auto* const map = reinterpret_cast<void* (*)(size_t)>(dlsym(library, "SumsMap"));
    REQUIRE(allocate != nullptr && map != nullptr);
    loaded_in_place += reinterpret_cast<void*>(map) == before;
    before = reinterpret_cast<void*>(map);
    Begin(kTask + round);
    Attach(kTask + round);
    uint64_t random = Seeded(round);
    for (int i = 0; i < 500; ++i) {
      const size_t bytes = 1 + NextRandom(&random) % (i % 50 == 0 ? 20 * kMiB : 4000);
      g_store.Add({allocate(bytes), 0});
      if (i % 10 == 0) {
        const size_t mapped = 4096 * (1 + NextRandom(&random) % 100);
        g_store.Add({map(mapped), mapped});
      }
    }
    if (round % 2 == 0) End(kTask + round);
    Detach();
    RequireBooksMatchPages();
    REQUIRE(dlclose(library) == 0);
    RequireBooksMatchPages();
    if (round % 3 == 2) g_store.ReleaseEvery(2);
    RequireBooksMatchPages();
    if (round % 2 != 0) End(kTask + round);
  }
  REQUIRE_COMPARE(loaded_in_place, >=, 1);
  ReleaseInParts();
}

// Blocks of up to 60 MiB grow and shrink, before and after their task's end, and by another task.
void MovedBlocks() {
  constexpr int kBlocks = 10;
  void* blocks[kBlocks] = {};
  uint64_t random = Seeded(0);
  const auto size = [&random] {
    return 1 + NextRandom(&random) % (60 * kMiB >> NextRandom(&random) % 16);
  };
  for (uint64_t round = 0; round < 12; ++round) {
    Begin(kTask);
    Begin(kTask + 1);
    for (const uint64_t owner : {kTask, kTask + 1, kTask + 1}) {
      Attach(owner);
      for (void*& block : blocks) {
        block = Hide(NextRandom(&random) % 3 != 0 || block != nullptr
                         ? realloc(block, size())
                         : memalign(size_t{64} << NextRandom(&random) % 17, size()));
        REQUIRE(block != nullptr);
        *static_cast<char*>(block) = 1;
        RequireBooksMatchPages();
      }
    }
    if (round % 3 == 1) Detach();
    End(kTask + (round % 2));
    RequireBooksMatchPages();
    for (void*& block : blocks) {
      block = realloc(block, size());
      REQUIRE(block != nullptr);
      RequireBooksMatchPages();
    }
    // What libc keeps for a thread is its creator's.
    Detach();
    OnThread([&] {
      Attach(kTask + (round + 1) % 2);
      for (void*& block : blocks) {
        block = realloc(block, size());
        REQUIRE(block != nullptr);
      }
    });
    RequireBooksMatchPages();
    End(kTask + (round + 1) % 2);
    for (void*& block : blocks) {
      block = realloc(block, size());
      RequireBooksMatchPages();
      free(block);
      block = nullptr;
    }
    Detach();
    RequireBooksMatchPages();
    RequireNothingCharged();
  }
}

struct Last {
  uint64_t seed = 1;
  ~Last() {
    uint64_t random = seed;
    for (int i = 0; i < 300; ++i) {
      const size_t alignment = size_t{64} << NextRandom(&random) % 12;
      void* block = memalign(alignment, 1 + NextRandom(&random) % 3000);
      REQUIRE(block != nullptr && IsAligned(block, alignment));
      if (NextRandom(&random) % 4 == 0) {
        g_store.Add({block, 0});
      } else {
        free(block);
      }
    }
  }
};

// A key's destructor runs after those, when the thread has no context any more.
void HoldAtTheEnd(void* argument) {
  uint64_t random = reinterpret_cast<uintptr_t>(argument);
  g_store.HoldMore(50, &random);
}

void Destructors() {
  pthread_key_t key;
  REQUIRE(pthread_key_create(&key, HoldAtTheEnd) == 0);
  for (uint64_t round = 0; round < 6; ++round) {
    BeginSome(3);
    OnThreads(16, [=](size_t i) {
      thread_local Last last;
      last.seed = Seeded(round * 100 + i);
      REQUIRE(pthread_setspecific(key, reinterpret_cast<void*>(Seeded(i))) == 0);
      Attach(kTask + i % 3);
      uint64_t random = Seeded(round * 100 + i + 50);
      g_store.HoldMore(20, &random);
    });
    RequireBooksMatchPages();
    if (round % 2 == 0) EndSome(3);
    RequireBooksMatchPages();
    ReleaseInParts();
    if (round % 2 != 0) EndSome(3);
  }
  pthread_key_delete(key);
}

// Frees wait in pages of threads that sleep, have ended, or are other threads' now.
void FreedByOthers() {
  for (uint64_t round = 0; round < 4; ++round) {
    BeginSome(4);
    std::atomic<int> holding{0};
    std::atomic<int> stage{0};
    pthread_barrier_t barrier;
    REQUIRE(pthread_barrier_init(&barrier, nullptr, 9) == 0);
    const auto sleeper = [&](size_t i) {
      uint64_t random = Seeded(round * 100 + i);
      Attach(kTask + i % 4);
      g_store.HoldMore(300, &random);
      pthread_barrier_wait(&barrier);  // all hold
      pthread_barrier_wait(&barrier);  // others have freed
      g_store.HoldMore(100, &random);
    };
    pthread_t main_part;
    struct Part {
      decltype(sleeper)* work;
    } part = {&sleeper};
    REQUIRE(pthread_create(
                &main_part, nullptr,
                [](void* argument) -> void* {
                  OnThreads(8, *static_cast<Part*>(argument)->work);
                  return nullptr;
                },
                &part) == 0);
    pthread_barrier_wait(&barrier);
    RequireBooksMatchPages();
    g_store.ReleaseEvery(2);
    RequireBooksMatchPages();
    if (round % 2 == 0) End(kTask + 1);
    malloc_trim(0);
    RequireBooksMatchPages();
    if (round % 2 == 0) End(kTask + 2);
    RequireBooksMatchPages();
    pthread_barrier_wait(&barrier);
    REQUIRE(pthread_join(main_part, nullptr) == 0);
    pthread_barrier_destroy(&barrier);
    RequireBooksMatchPages();
    ReleaseInParts();
    for (const uint64_t i : {0, 1, 2, 3}) {
      if (round % 2 != 0 || i == 0 || i == 3) End(kTask + i);
    }
  }
}

// Beyond the quota, in the file.
void Overflowed() {
  for (uint64_t round = 0; round < 2; ++round) {
    Begin(kTask, 16 * kMiB);
    Begin(kTask + 1, 16 * kMiB);
    uint64_t random = Seeded(round);
    Attach(kTask);
    for (int i = 0; i < 60'000; ++i) g_store.Add({malloc(1 + NextRandom(&random) % 1200), 0});
    RequireBooksMatchPages();
    for (int i = 0; i < 10; ++i) {
      void* const block = malloc(2 * kMiB + NextRandom(&random) % (3 * kMiB));
      REQUIRE(block != nullptr);
      Touch(block, 2 * kMiB);
      g_store.Add({block, 0});
    }
    void* grown = malloc(18 * kMiB);
    grown = realloc(grown, 30 * kMiB);
    REQUIRE(grown != nullptr);
    RequireBooksMatchPages();
    const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
    REQUIRE_COMPARE(stats.FindReclaim(kTask)->overflow_bytes.load(), >, 8 * kMiB);
    Detach();
    OnThread([&] {
      uint64_t own = Seeded(round + 10);
      Attach(kTask + 1);
      for (int i = 0; i < 30'000; ++i) g_store.Add({malloc(1 + NextRandom(&own) % 1200), 0});
      g_store.Add({malloc(20 * kMiB), 0});
    });
    RequireBooksMatchPages();
    End(kTask);
    RequireBooksMatchPages();
    grown = realloc(grown, 40 * kMiB);
    RequireBooksMatchPages();
    if (round == 0) End(kTask + 1);
    RequireBooksMatchPages();
    Detach();
    grown = realloc(grown, 3 * kMiB);
    RequireBooksMatchPages();
    free(grown);
    ReleaseInParts();
    if (round == 1) End(kTask + 1);
  }
}

template <typename New>
void RequireThrows(New allocate) {
  bool is_thrown = false;
  try {
    Hide(allocate());
  } catch (const std::bad_alloc&) {
    is_thrown = true;
  }
  REQUIRE(is_thrown);
  RequireBooksMatchPages();
}

void RefuseAll(void* small, void* large) {
  REQUIRE(Hide(malloc(64 * kMiB)) == nullptr);
  RequireBooksMatchPages();
  REQUIRE(Hide(calloc(1, 64 * kMiB)) == nullptr);
  REQUIRE(Hide(memalign(kMiB, 64 * kMiB)) == nullptr);
  RequireBooksMatchPages();
  for (void* block : {small, large}) {
    REQUIRE(Hide(realloc(block, 64 * kMiB)) == nullptr);
    RequireBooksMatchPages();
  }
  RequireThrows([] { return ::operator new(64 * kMiB); });
  RequireThrows([] { return ::operator new[](64 * kMiB, std::align_val_t{256}); });
  REQUIRE(Hide(::operator new(64 * kMiB, std::nothrow)) == nullptr);
  REQUIRE(mmap(nullptr, 64 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
          MAP_FAILED);
  RequireBooksMatchPages();
}

void Refused() {
  for (uint64_t round = 0; round < 3; ++round) {
    Begin(kTask, 40 * kMiB);
    Attach(kTask);
    uint64_t random = Seeded(round);
    for (int i = 0; i < 3000; ++i) g_store.Add({malloc(1 + NextRandom(&random) % 3000), 0});
    void* const small = malloc(100);
    void* const large = malloc(20 * kMiB);
    g_store.Add({small, 0});
    g_store.Add({large, 0});
    RefuseAll(small, large);
    // Up to the last, by what is refused and by what overdraws.
    for (size_t bytes = 300'000;; bytes += 4096) {
      void* const block = malloc(bytes);
      if (block == nullptr) break;
      g_store.Add({block, 0});
    }
    RequireBooksMatchPages();
    for (int i = 0; i < 20'000; ++i) g_store.Add({malloc(1 + NextRandom(&random) % 200), 0});
    RequireBooksMatchPages();
    REQUIRE_COMPARE(Usage(kTask).overdrafts, >, 0);
    RefuseAll(small, large);
    Detach();
    OnThread([=] {
      Attach(kTask);
      RefuseAll(small, large);
    });
    RequireBooksMatchPages();
    if (round != 1) End(kTask);
    Detach();
    ReleaseInParts();
    if (round == 1) End(kTask);
  }
}

// In a child first, then in its parent; the child may have a child.
void ForkedFrom(uint64_t round, int depth) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child != 0) {
    RequireChildSucceeds(child);
    return;
  }
  LimitChild();
  RequireBooksMatchPages();
  uint64_t random = Seeded(round + 10);
  if (depth > 0) {
    Attach(kTask + 1);
    g_store.HoldMore(100, &random);
    RequireBooksMatchPages();
    if (round % 2 == 0) End(kTask + 1);
  }
  g_store.HoldMore(100, &random);
  Detach();
  OnThread([=] {
    uint64_t own = Seeded(round + 20);
    Attach(kTask + 2);
    g_store.HoldMore(100, &own);
  });
  RequireBooksMatchPages();
  if (depth > 0) ForkedFrom(round, depth - 1);
  ReleaseInParts();
  _exit(0);
}

void Forked() {
  for (uint64_t round = 0; round < 6; ++round) {
    BeginSome(3);
    OnThreads(6, [=](size_t i) {
      uint64_t random = Seeded(round * 100 + i);
      Attach(kTask + i % 3);
      g_store.HoldMore(150, &random);
    });
    uint64_t random = Seeded(round);
    Attach(kTask);
    g_store.HoldMore(150, &random);
    if (round % 3 == 1) End(kTask);
    RequireBooksMatchPages();
    ForkedFrom(round, 1);
    RequireBooksMatchPages();
    Detach();
    ReleaseInParts();
    for (uint64_t i = round % 3 == 1; i < 3; ++i) End(kTask + i);
  }
}

volatile sig_atomic_t g_is_child = 0;
volatile sig_atomic_t g_forks = 0;

// Once: a signal that waits for the end of the last would let nothing go on between them.
void Arm(uint64_t microseconds) {
  const itimerval timer = {{0, 0}, {0, static_cast<suseconds_t>(microseconds)}};
  REQUIRE(setitimer(ITIMER_REAL, &timer, nullptr) == 0);
}

void ForkInHandler(int) {
  const int saved_errno = errno;
  const pid_t child = fork();
  if (child == 0) {
    LimitChild();
    g_is_child = 1;
  } else if (child > 0) {
    RequireChildSucceeds(child);
    g_forks = g_forks + 1;
    Arm(200 + Seeded(static_cast<uint64_t>(g_forks)) % 3000);
  }
  errno = saved_errno;
}

// The child goes on with what the handler interrupted; then it looks. That is malloc and free, or
// mmap and munmap.
void ForkedAmid(bool maps) {
  Begin(kTask);
  Attach(kTask);
  struct sigaction action = {};
  action.sa_handler = ForkInHandler;
  action.sa_flags = SA_RESTART;
  REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0);
  static Held held[256];
  uint64_t random = Seeded(0);
  Arm(1000);
  while (g_forks < 60 && g_is_child == 0) {
    Held& one = held[NextRandom(&random) % 256];
    const Held old = one;
    one = {};
    if (old.start != nullptr) Release(old);
    one = maps ? HoldMapping(1 + NextRandom(&random) % 64) : Hold(&random, /*maps=*/false);
  }
  if (g_is_child == 0) Arm(0);
  REQUIRE(signal(SIGALRM, SIG_DFL) != SIG_ERR);
  RequireBooksMatchPages();
  if (random % 2 == 0) End(kTask);
  for (const Held& one : held) {
    if (one.start != nullptr) Release(one);
  }
  RequireBooksMatchPages();
  Detach();
  RequireNothingCharged();
}

void ForkedInHandler() { ForkedAmid(false); }
void ForkedAmidMapping() { ForkedAmid(true); }

struct Case {
  const char* name;
  void (*run)();
};

constexpr Case kCases[] = {
    {"ended_threads", EndedThreads},
    {"bare_exit", BareExit},
    {"ended_tasks", EndedTasks},
    {"folded_tasks", FoldedTasks},
    {"renamed_threads", RenamedThreads},
    {"unloaded_library", UnloadedLibrary},
    {"moved_blocks", MovedBlocks},
    {"destructors", Destructors},
    {"freed_by_others", FreedByOthers},
    {"overflowed", Overflowed},
    {"refused", Refused},
    {"forked", Forked},
    {"forked_in_handler", ForkedInHandler},
    {"forked_amid_mapping", ForkedAmidMapping},
};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  g_seed = strtoull(argv[2], nullptr, 10);
  g_library = argc > 3 ? argv[3] : nullptr;
  printf("seed %llu\n", static_cast<unsigned long long>(g_seed));
  fflush(stdout);
  Detach();
  for (const Case& one : kCases) {
    if (strcmp(argv[1], one.name) != 0) continue;
    one.run();
    return 0;
  }
  REQUIRE(!"a case");
}
