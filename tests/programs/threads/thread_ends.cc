// Threads that end by pthread_exit and by cancellation, deferred and in clean-up
// handlers that allocate and free.
#include <pthread.h>

#include <atomic>

#include "tests/programs/support/check.h"

namespace {

std::atomic<int> g_cleaned{0};
std::atomic<bool> g_running{false};

void CleanUp(void* block) {
  REQUIRE(HasPattern(block, 1000, 9));
  free(malloc(5000));
  free(block);
  g_cleaned.fetch_add(1);
}

void* Exits(void*) {
  void* block = malloc(1000);
  FillPattern(block, 1000, 9);
  pthread_cleanup_push(CleanUp, block);
  free(malloc(40000));
  pthread_exit(malloc(64));
  pthread_cleanup_pop(0);
  return nullptr;
}

void* IsCancelled(void*) {
  void* block = malloc(1000);
  FillPattern(block, 1000, 9);
  pthread_cleanup_push(CleanUp, block);
  g_running.store(true);
  for (size_t size = 1;; size = size * 2 % 100003) {
    free(malloc(size));
    pthread_testcancel();
  }
  pthread_cleanup_pop(0);
  return nullptr;
}

}  // namespace

int main() {
  for (int i = 0; i < 300; ++i) {
    pthread_t thread;
    void* result = nullptr;
    REQUIRE(pthread_create(&thread, nullptr, Exits, nullptr) == 0);
    REQUIRE(pthread_join(thread, &result) == 0);
    REQUIRE(result != nullptr && result != PTHREAD_CANCELED);
    free(result);

    g_running.store(false);
    REQUIRE(pthread_create(&thread, nullptr, IsCancelled, nullptr) == 0);
    while (!g_running.load()) sched_yield();
    REQUIRE(pthread_cancel(thread) == 0);
    REQUIRE(pthread_join(thread, &result) == 0);
    REQUIRE(result == PTHREAD_CANCELED);
  }
  REQUIRE_COMPARE(g_cleaned.load(), ==, 600);
}
