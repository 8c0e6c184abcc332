/* The program has all 1024 thread-specific keys, from number 0 on. */
#include <limits.h>
#include <pthread.h>
#include <threads.h>

#include "tests/programs/support/check.h"

static void* Allocate(void* argument) {
  free(malloc(1000));
  return argument;
}

int main(void) {
  pthread_t thread;
  pthread_key_t keys[PTHREAD_KEYS_MAX];
  pthread_key_t one_more;
  free(malloc(100));
  REQUIRE(pthread_create(&thread, NULL, Allocate, NULL) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);

  for (int i = 0; i < PTHREAD_KEYS_MAX; ++i) {
    REQUIRE_COMPARE(pthread_key_create(&keys[i], NULL), ==, 0);
    REQUIRE_COMPARE(keys[i], ==, i);
    REQUIRE(pthread_getspecific(keys[i]) == NULL);
    REQUIRE(pthread_setspecific(keys[i], &keys[i]) == 0);
  }
  REQUIRE_COMPARE(pthread_key_create(&one_more, NULL), ==, EAGAIN);
  free(malloc(100000));
  for (int i = 0; i < PTHREAD_KEYS_MAX; ++i) {
    REQUIRE(pthread_getspecific(keys[i]) == &keys[i]);
    REQUIRE(pthread_key_delete(keys[i]) == 0);
  }
  REQUIRE(tss_create(&one_more, NULL) == thrd_success);
  REQUIRE_COMPARE(one_more, ==, 0);
  return 0;
}
