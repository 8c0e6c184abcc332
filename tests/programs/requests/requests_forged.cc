// requests_forged [SEED [ROUNDS]]: somebody writes whatever he likes where a process is asked to
// change something, while threads allocate for tasks. What is no request changes nothing, what is
// one does no more than its owner may do by the API, and the books add up at the end.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>

#include "tests/programs/support/hooks.h"
#include "tests/support/stats_file.h"

namespace {

using taskmem::ChangeKind;
using taskmem::ProcessRequest;
using taskmem::RequestState;

constexpr uint64_t kTasks = 4;
std::atomic<bool> g_stop{false};

void* Work(void* argument) {
  const auto task = reinterpret_cast<uint64_t>(argument);
  REQUIRE_COMPARE(taskmem_thread_attach(task, nullptr), ==, 0);
  uint64_t random = task * 7919;
  while (!g_stop.load(std::memory_order_relaxed)) {
    void* const block = Hide(malloc(NextRandom(&random) % 600'000));
    free(block);
  }
  taskmem_thread_detach();
  return nullptr;
}

// The header of this process's own books, to write to.
taskmem::StatsHeader* OwnHeader() {
  const auto own = taskmem::test::StatsFile::Own();
  REQUIRE(own.ok());
  char path[512];
  snprintf(path, sizeof(path), "%s/%d-%llu", getenv("TASKMEM_STATS_DIR"), getpid(),
           static_cast<unsigned long long>(own.header().start_time));
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0);
  void* const mapped =
      mmap(nullptr, sizeof(taskmem::StatsHeader), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(mapped != MAP_FAILED);
  close(fd);
  return static_cast<taskmem::StatsHeader*>(mapped);
}

int Ask(ProcessRequest* request, ChangeKind kind, uint64_t task, uint64_t bytes) {
  request->kind.store(kind);
  request->task.store(task);
  request->bytes.store(bytes);
  request->state.store(RequestState::kAsked);
  while (request->state.load() != RequestState::kAnswered) free(Hide(malloc(1 << 20)));
  return static_cast<int>(request->error.load());
}

uint64_t QuotaOf(uint64_t task) {
  taskmem_usage usage;
  REQUIRE_COMPARE(taskmem_task_usage(task, &usage), ==, 0);
  return usage.quota_bytes;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t random = argc > 1 ? strtoull(argv[1], nullptr, 10) : 20240717;
  const int rounds = argc > 2 ? atoi(argv[2]) : 20'000;
  printf("seed %llu\n", static_cast<unsigned long long>(random));
  fflush(stdout);
  ProcessRequest* const request = &OwnHeader()->request;
  pthread_t threads[kTasks];
  for (uint64_t task = 1; task <= kTasks; ++task) {
    REQUIRE_COMPARE(taskmem_task_begin(task, nullptr), ==, 0);
    pthread_create(&threads[task - 1], nullptr, Work, reinterpret_cast<void*>(task));
  }
  // One by one: what is out of bounds.
  REQUIRE_COMPARE(Ask(request, ChangeKind{0}, 1, 1), ==, EINVAL);
  REQUIRE_COMPARE(Ask(request, ChangeKind{99}, 1, 1), ==, EINVAL);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kTaskQuota, 1, 0), ==, EINVAL);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kTaskQuota, 99, 1 << 20), ==, ENOENT);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kTaskQuota, TASKMEM_UNTRACKED, 1 << 20), ==, ENOENT);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kTaskQuota, TASKMEM_STORAGE, 1 << 20), ==, ENOENT);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kMemory, 0, 0), ==, EINVAL);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kAtLimit, 0, 3), ==, EINVAL);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kAtLimit, 0, UINT64_MAX), ==, EINVAL);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kTaskSpill, 1, 1), ==, ENOSYS);
  REQUIRE_COMPARE(Ask(request, ChangeKind::kTaskQuota, 1, 12345678), ==, 0);
  REQUIRE(QuotaOf(1) == 12345678 && QuotaOf(2) == TASKMEM_NO_QUOTA);
  static BlockCache cache(4096);
  for (int i = 0; i < 100; ++i) cache.Keep(malloc(4096));
  // Anything, at any time; only the end of the process is left out.
  for (int round = 0; round < rounds; ++round) {
    const uint64_t choice = NextRandom(&random);
    request->kind.store(static_cast<ChangeKind>(choice % 6));
    request->task.store(NextRandom(&random) % 3 == 0 ? NextRandom(&random) : choice % (kTasks + 2));
    request->bytes.store(static_cast<ChangeKind>(choice % 6) == ChangeKind::kAtLimit
                             ? NextRandom(&random) % 2
                             : NextRandom(&random) >> NextRandom(&random) % 64);
    request->state.store(static_cast<RequestState>(NextRandom(&random) % 5));
    if (choice % 7 == 0) request->state.store(RequestState::kAsked);
    if (round == rounds / 2) cache.Register(TASKMEM_CURRENT_TASK, "cache", 0);
    free(Hide(malloc(choice % (1 << 20))));
    if (round == rounds / 4) REQUIRE_COMPARE(taskmem_thread_attach(2, nullptr), ==, 0);
  }
  // An honest one is answered as before.
  request->state.store(RequestState::kIdle);
  while (Ask(request, ChangeKind::kTaskQuota, 3, uint64_t{1} << 40) != 0) {
  }
  REQUIRE(QuotaOf(3) == uint64_t{1} << 40);
  request->state.store(RequestState::kIdle);
  g_stop.store(true);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  RequireBooksMatchPages();
  return 0;
}
