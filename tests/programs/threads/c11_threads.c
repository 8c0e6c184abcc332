/* Threads made by thrd_create, with tss destructors that allocate. */
#include <threads.h>

#include "tests/programs/support/check.h"

static tss_t key;

static void Destroy(void* block) {
  REQUIRE(HasPattern(block, 200, 3));
  free(malloc(10000));
  free(block);
}

static int Thread(void* argument) {
  void* block = malloc(200);
  FillPattern(block, 200, 3);
  REQUIRE(tss_set(key, block) == thrd_success);
  FillPattern(argument, 500, 4);
  if (*(unsigned char*)argument == 0) thrd_exit(2);
  return 7;
}

int main(void) {
  REQUIRE(tss_create(&key, Destroy) == thrd_success);
  for (int i = 0; i < 300; ++i) {
    thrd_t thread;
    int result = 0;
    void* block = malloc(500);
    REQUIRE(thrd_create(&thread, Thread, block) == thrd_success);
    REQUIRE(thrd_join(thread, &result) == thrd_success);
    REQUIRE(result == 7);
    REQUIRE(HasPattern(block, 500, 4));
    free(block);
  }
  return 0;
}
