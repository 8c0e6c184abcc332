// The first thing a thread allocates, it allocates in a signal handler; and what
// it allocates last, in a handler while it ends.
#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "tests/programs/support/check.h"

namespace {

std::atomic<int> g_handled{0};

void Handle(int) {
  void* block = malloc(5000);
  FillPattern(block, 5000, 1);
  REQUIRE(HasPattern(block, 5000, 1));
  free(block);
  g_handled.fetch_add(1);
}

void* Thread(void*) {
  raise(SIGUSR1);
  free(malloc(100));
  return nullptr;
}

void RaiseAgain(void*) { raise(SIGUSR1); }

}  // namespace

int main() {
  struct sigaction action = {};
  action.sa_handler = Handle;
  REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
  pthread_key_t key;
  REQUIRE(pthread_key_create(&key, RaiseAgain) == 0);
  for (int i = 0; i < 200; ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(
                &thread, nullptr,
                [](void* argument) -> void* {
                  pthread_setspecific(*static_cast<pthread_key_t*>(argument), argument);
                  return Thread(nullptr);
                },
                &key) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
  }
  REQUIRE_COMPARE(g_handled.load(), ==, 400);
}
