// Detached threads hand over a block and vanish; some live on while main returns.
#include <pthread.h>

#include <atomic>

#include "tests/programs/support/check.h"

namespace {

constexpr int kThreads = 2000;

std::atomic<void*> g_blocks[kThreads];

void* HandsOver(void* argument) {
  void* block = malloc(300);
  FillPattern(block, 300, 11);
  static_cast<std::atomic<void*>*>(argument)->store(block);
  free(malloc(70000));
  return nullptr;
}

void* NeverEnds(void*) {
  for (size_t size = 1;; size = size * 3 % 50021) free(malloc(size));
}

}  // namespace

int main() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_t thread;
  for (int i = 0; i < kThreads; ++i) {
    REQUIRE(pthread_create(&thread, &attributes, HandsOver, &g_blocks[i]) == 0);
    if (i < 50) continue;
    // At most about 50 of them at once.
    while (g_blocks[i - 50].load() == nullptr) sched_yield();
  }
  for (std::atomic<void*>& block : g_blocks) {
    while (block.load() == nullptr) sched_yield();
    REQUIRE(HasPattern(block.load(), 300, 11));
    free(block.load());
  }
  for (int i = 0; i < 4; ++i) {
    REQUIRE(pthread_create(&thread, &attributes, NeverEnds, nullptr) == 0);
  }
  free(malloc(1000));
}
