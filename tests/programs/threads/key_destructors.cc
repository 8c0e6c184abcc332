// Destructors of thread-specific keys allocate and free, in every round.
#include <limits.h>
#include <pthread.h>

#include <atomic>

#include "tests/programs/support/check.h"

namespace {

constexpr int kKeys = 20;
constexpr int kThreads = 300;

pthread_key_t g_keys[kKeys];
std::atomic<int> g_calls{0};

struct Value {
  int key;
  int round;
  char* block;
};

Value* NewValue(int key, int round) {
  auto* value = static_cast<Value*>(malloc(sizeof(Value)));
  *value = {key, round, static_cast<char*>(malloc(100 + 5000 * round))};
  FillPattern(value->block, 100, static_cast<unsigned>(key));
  return value;
}

void Destroy(void* argument) {
  auto* value = static_cast<Value*>(argument);
  g_calls.fetch_add(1);
  REQUIRE(HasPattern(value->block, 100, static_cast<unsigned>(value->key)));
  if (value->round < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(g_keys[value->key], NewValue(value->key, value->round + 1));
  }
  free(value->block);
  free(value);
}

void* Thread(void* argument) {
  for (int i = 0; i < kKeys; ++i) REQUIRE(pthread_setspecific(g_keys[i], NewValue(i, 1)) == 0);
  return argument;
}

}  // namespace

int main() {
  for (pthread_key_t& key : g_keys) REQUIRE(pthread_key_create(&key, Destroy) == 0);
  for (int i = 0; i < kThreads; ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, Thread, nullptr) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
  }
  REQUIRE_COMPARE(g_calls.load(), ==, kThreads * kKeys * PTHREAD_DESTRUCTOR_ITERATIONS);
}
