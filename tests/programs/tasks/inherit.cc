// What a new thread inherits, with --inherit as the argument says.
#include <pthread.h>
#include <threads.h>

#include <atomic>
#include <thread>

#include "tests/programs/support/tasks.h"

namespace {

uint64_t OwnerNow() {
  void* block = malloc(300);
  const uint64_t owner = OwnerOf(block);
  free(block);
  return owner;
}

int OwnerIs(void* expected) { return OwnerNow() == *static_cast<uint64_t*>(expected) ? 0 : 1; }

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const bool never = strcmp(argv[1], "never") == 0;
  const bool always = strcmp(argv[1], "always") == 0;
  // The task of the process: a thread that inherits nothing works for it.
  const uint64_t of_process = OwnerNow();
  Begin(kTask);
  Attach(kTask);
  uint64_t while_live = never ? of_process : kTask;
  std::atomic<int> step{0};
  std::thread thread([&] {
    REQUIRE(OwnerNow() == while_live);
    std::thread([&] { REQUIRE(OwnerNow() == while_live); }).join();
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
    // Kept only by a thread that inherited it, never by one that attached itself.
    REQUIRE(OwnerNow() == (always ? kTask : never ? of_process : TASKMEM_UNTRACKED));
  });
  thrd_t c11_thread;
  int result = 1;
  REQUIRE(thrd_create(&c11_thread, OwnerIs, &while_live) == thrd_success);
  REQUIRE(thrd_join(c11_thread, &result) == thrd_success);
  REQUIRE_COMPARE(result, ==, 0);
  while (step.load() != 1) std::this_thread::yield();
  End(kTask);
  REQUIRE(OwnerNow() == TASKMEM_UNTRACKED);
  std::thread([&] { REQUIRE(OwnerNow() == (never ? of_process : TASKMEM_UNTRACKED)); }).join();
  step.store(2);
  thread.join();
}
