// What a hook may do to whoever calls it. Each ends with books that are right.
//
//   hook_misbehaves WHAT
#include <sys/wait.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/programs/support/hooks.h"

namespace {

constexpr uint64_t kQuota = 16 * kMiB;
constexpr uint64_t kOther = kTask + 1;

BlockCache g_cache(kMiB);
int g_calls = 0;

// The cache fills its task to the quota; one more block makes its hook run.
void FillToQuota(taskmem_spill_fn spill, int run_on = TASKMEM_ALLOCATING_THREAD) {
  Begin(kTask, kQuota, "misbehaving");
  g_cache.Register(kTask, "cache", run_on, spill);
  Attach(kTask);
  Fill(g_cache, kMiB, 16);
  REQUIRE_COMPARE(g_calls, ==, 0);
}

void RequireServed() {
  void* block = malloc(kMiB);
  REQUIRE(block != nullptr);
  REQUIRE_COMPARE(OwnerOf(block), ==, kTask);
  free(block);
}

void RequireRefused() {
  errno = 0;
  REQUIRE(malloc(kMiB) == nullptr);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
}

uint64_t FreeSome(uint64_t bytes) { return g_cache.Free(bytes); }

void Throws() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    ++g_calls;
    if (g_calls % 2 == 0) FreeSome(bytes);
    throw std::runtime_error(std::string(10'000, 'x'));
  });
  RequireRefused();  // nothing freed
  RequireServed();   // freed, and thrown
  REQUIRE_COMPARE(std::uncaught_exceptions(), ==, 0);
  try {
    throw 1;
  } catch (int) {
  }
}

void LiesThatItFreed() {
  FillToQuota([](void*, uint64_t, taskmem_consumer) -> uint64_t {
    ++g_calls;
    return UINT64_MAX;
  });
  RequireRefused();
  REQUIRE_COMPARE(g_calls, <=, 64);
}

void LiesThatItDidNot() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    FreeSome(bytes);
    return 0;
  });
  for (int i = 0; i < 10; ++i) RequireServed();
}

void FreesByAnotherThread() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    uint64_t freed = 0;
    std::thread([&] { freed = FreeSome(bytes); }).join();
    return freed;
  });
  for (int i = 0; i < 10; ++i) RequireServed();
}

void* g_kept[100];

// More than the task's quota, out of the reserve.
void Allocates() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    for (void*& block : g_kept) {
      block = malloc(kMiB);
      REQUIRE(block != nullptr);
      REQUIRE(Charged(kTask) <= kQuota);
    }
    void* small = malloc(10);
    REQUIRE(small != nullptr);
    free(small);
    return FreeSome(bytes);
  });
  RequireServed();
  const taskmem_usage usage = Usage(kTask);
  REQUIRE_COMPARE(usage.overdrafts, ==, 0);
  REQUIRE_COMPARE(usage.peak_charged_bytes, <=, kQuota);
  for (void* block : g_kept) free(block);
}

// What it takes for that task overdraws; afterwards the thread works for its own again.
void Attaches() {
  Begin(kOther, kMiB, "other");
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    Attach(kOther);
    for (int i = 0; i < 8; ++i) {
      g_kept[i] = malloc(kMiB);
      REQUIRE(g_kept[i] != nullptr);
      REQUIRE_COMPARE(OwnerOf(g_kept[i]), ==, kOther);
    }
    return FreeSome(bytes);
  });
  RequireServed();
  REQUIRE_COMPARE(Usage(kOther).overdraft_bytes, >=, 7 * kMiB);
  for (int i = 0; i < 8; ++i) free(g_kept[i]);
  End(kOther);
}

// The request is nobody's then.
void EndsItsTask() {
  FillToQuota([](void*, uint64_t, taskmem_consumer) -> uint64_t {
    End(kTask);
    return 0;
  });
  void* block = malloc(kMiB);
  REQUIRE(block != nullptr);
  REQUIRE_COMPARE(OwnerOf(block), ==, TASKMEM_UNTRACKED);
  free(block);
  REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, ENOENT);
  Begin(kTask);
}

void UnregistersItself() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    ++g_calls;
    REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, 0);
    REQUIRE_COMPARE(taskmem_consumer_unregister(g_cache.consumer), ==, ENOENT);
    REQUIRE_COMPARE(taskmem_consumer_report(g_cache.consumer, 1), ==, ENOENT);
    return FreeSome(bytes);
  });
  RequireServed();
  Fill(g_cache, kMiB, 1);
  RequireRefused();
  REQUIRE_COMPARE(g_calls, ==, 1);
}

void RegistersAnother() {
  static BlockCache second(kMiB);
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    if (++g_calls == 1) second.Register(kTask, "second", TASKMEM_ALLOCATING_THREAD);
    return FreeSome(bytes);
  });
  RequireServed();
  second.Keep(malloc(kMiB));
  FreeSome(UINT64_MAX);
  Fill(second, kMiB, 16);
  REQUIRE_COMPARE(second.calls, >, 0);
}

void Forks() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0) {
      int status = -1;
      REQUIRE(waitpid(child, &status, 0) == child);
      REQUIRE_COMPARE(status, ==, 0);
    } else {
      ++g_calls;  // only there
    }
    return FreeSome(bytes);
  });
  RequireServed();
  if (g_calls == 0) return;
  RequireBooksMatchPages();
  _exit(0);
}

// Its memory comes from malloc, which must not need a hook for it.
void UsesStandardOutput() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    printf("spilling %llu\n", static_cast<unsigned long long>(bytes));
    return FreeSome(bytes);
  });
  RequireServed();
}

void KeepsErrno() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t {
    errno = EIO;
    return FreeSome(bytes);
  });
  errno = 4711;
  void* block = malloc(kMiB);
  REQUIRE(block != nullptr);
  REQUIRE_COMPARE(errno, ==, 4711);
  free(block);
}

void Reallocates() {
  FillToQuota([](void*, uint64_t bytes, taskmem_consumer) -> uint64_t { return FreeSome(bytes); });
  auto* block = static_cast<char*>(malloc(kMiB));
  for (uint64_t size = kMiB; size <= 7 * kMiB; size += kMiB / 2) {
    FillPattern(block, size - kMiB / 2, 3);
    block = static_cast<char*>(realloc(block, size));
    REQUIRE(block != nullptr && HasPattern(block, size - kMiB / 2, 3));
  }
  void* aligned = nullptr;
  REQUIRE_COMPARE(posix_memalign(&aligned, 1 << 20, 3 * kMiB), ==, 0);
  free(aligned);
  delete[] new char[3 * kMiB];
  free(block);
}

constexpr struct {
  const char* name;
  void (*run)();
} kModes[] = {{"throws", Throws},
              {"lies_high", LiesThatItFreed},
              {"lies_low", LiesThatItDidNot},
              {"other_thread", FreesByAnotherThread},
              {"allocates", Allocates},
              {"attaches", Attaches},
              {"ends_task", EndsItsTask},
              {"unregisters", UnregistersItself},
              {"registers", RegistersAnother},
              {"forks", Forks},
              {"prints", UsesStandardOutput},
              {"errno", KeepsErrno},
              {"reallocates", Reallocates}};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  for (const auto& mode : kModes) {
    if (strcmp(mode.name, argv[1]) != 0) continue;
    mode.run();
    FreeSome(UINT64_MAX);
    RequireBooksMatchPages();
    End(kTask);
    return 0;
  }
  REQUIRE(!"a mode");
}
