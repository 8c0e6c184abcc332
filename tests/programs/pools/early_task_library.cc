// A library whose constructor runs before the preload library's: it begins tasks, with a
// thread, before there are pools.
#include <pthread.h>

#include "tests/programs/support/tasks.h"

namespace {

void* g_blocks[2];

void* Thread(void*) {
  Attach(kTask + 1);
  g_blocks[1] = malloc(10 * kMiB);
  Touch(g_blocks[1], 10 * kMiB);
  return nullptr;
}

__attribute__((constructor(101))) void First() {
  Begin(kTask, TASKMEM_NO_QUOTA, "early");
  Begin(kTask + 1, TASKMEM_NO_QUOTA, "early too");
  Begin(kTask + 2, TASKMEM_NO_QUOTA, "over before it began");
  Attach(kTask);
  g_blocks[0] = malloc(20 * kMiB);
  REQUIRE(g_blocks[0] != nullptr);
  Touch(g_blocks[0], 20 * kMiB);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Thread, nullptr) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  Attach(kTask + 2);
  REQUIRE(malloc(5 * kMiB) != nullptr);
  End(kTask + 2);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void* TakeEarlyBlock(int at) {
  return g_blocks[at];
}
