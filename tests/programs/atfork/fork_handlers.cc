// A library's fork handlers, registered before anything else of the program (by
// fork_handlers_library.so, which is the first argument or preloaded), take a lock that threads
// hold while they allocate.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>

#include "tests/programs/support/wait_for.h"

namespace {

std::atomic<bool> g_done{false};
pthread_mutex_t* g_mutex;

void* Work(void*) {
  void* blocks[64] = {};
  for (unsigned seed = 1; !g_done;) {
    pthread_mutex_lock(g_mutex);
    for (void*& block : blocks) {
      free(block);
      seed = seed * 1664525 + 1013904223;
      block = malloc(seed % 200'000);
    }
    pthread_mutex_unlock(g_mutex);
  }
  for (void* block : blocks) free(block);
  return nullptr;
}

void Nothing() {}

// Registers handlers: their table is reallocated under glibc's lock.
void* Register(void*) {
  for (int i = 0; i < 2000 && !g_done; ++i) pthread_atfork(nullptr, nullptr, Nothing);
  return nullptr;
}

}  // namespace

int main() {
  alarm(100);
  g_mutex = static_cast<pthread_mutex_t*>(dlsym(RTLD_DEFAULT, "fork_handlers_mutex"));
  REQUIRE(g_mutex != nullptr);
  pthread_t threads[3];
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, &thread == threads ? Register : Work, nullptr) == 0);
  }
  for (int i = 0; i < 300; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      free(malloc(100'000));
      _exit(0);
    }
    RequireChildSucceeds(child);
  }
  g_done = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}
