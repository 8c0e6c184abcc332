/* The main thread ends by pthread_exit; the last thread ends the process. */
#include <pthread.h>

#include "tests/programs/support/check.h"

static pthread_t main_thread;

static void* Last(void* block) {
  REQUIRE(pthread_join(main_thread, NULL) == 0);
  REQUIRE(HasPattern(block, 5000, 1));
  free(block);
  free(malloc(100000));
  free(calloc(100, 100));
  exit(0);
}

int main(void) {
  pthread_t thread;
  void* block = malloc(5000);
  FillPattern(block, 5000, 1);
  main_thread = pthread_self();
  REQUIRE(pthread_create(&thread, NULL, Last, block) == 0);
  pthread_exit(NULL);
}
