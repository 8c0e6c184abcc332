// A task is ended by one thread while others work for it: what they allocate
// from then on is untracked, at once. New threads inherit their creator's task.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr int kThreads = 8;
constexpr size_t kSizes[] = {16, 100, 3000, 40000, 200000, 3000000};

std::atomic<int> g_ready{0};
std::atomic<bool> g_ended{false};

void AllocateAll(uint64_t owner) {
  for (size_t size : kSizes) {
    for (int i = 0; i < 20; ++i) {
      void* block = malloc(size);
      REQUIRE(OwnerOf(block) == owner);
      free(block);
    }
  }
}

void Work(uint64_t task) {
  AllocateAll(task);
  g_ready.fetch_add(1);
  while (!g_ended.load()) std::this_thread::yield();
  AllocateAll(TASKMEM_UNTRACKED);
  std::thread([] { AllocateAll(TASKMEM_UNTRACKED); }).join();
  uint64_t previous = 0;
  REQUIRE_COMPARE(taskmem_thread_attach(TASKMEM_UNTRACKED, &previous), ==, 0);
  REQUIRE(previous == TASKMEM_UNTRACKED);
}

}  // namespace

int main() {
  for (uint64_t task = kTask; task < kTask + 50; ++task) {
    g_ready.store(0);
    g_ended.store(false);
    Begin(task);
    Attach(task);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(Work, task);
    while (g_ready.load() != kThreads) std::this_thread::yield();
    REQUIRE_COMPARE(Usage(task).threads, ==, kThreads + 1);
    End(task);
    g_ended.store(true);
    AllocateAll(TASKMEM_UNTRACKED);
    for (std::thread& thread : threads) thread.join();
  }
}
