/* A real-time thread allocates on the only processor while one of low priority, at its limit,
   has its heap collected again and again: it must not wait for a thread that it keeps from
   running. What it spends of the processor's time says so. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/programs/support/check.h"

static volatile int g_done;

static void* Allocate(void* unused) {
  (void)unused;
  static void* blocks[4000];
  for (int i = 0; i < 4000; ++i) blocks[i] = malloc(500);
  for (int i = 0; i < 200; ++i) {
    const struct timespec nap = {0, 1000000};
    nanosleep(&nap, NULL);
    free(blocks[i]);
    blocks[i] = malloc(500 + (size_t)i % 500);
  }
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  REQUIRE_COMPARE(used.tv_sec * 1000 + used.tv_nsec / 1000000, <, 500);
  g_done = 1;
  return NULL;
}

int main(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  const struct sched_param priority = {.sched_priority = 10};
  REQUIRE(pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) == 0);
  REQUIRE(pthread_attr_setschedpolicy(&attributes, SCHED_FIFO) == 0);
  REQUIRE(pthread_attr_setschedparam(&attributes, &priority) == 0);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, Allocate, NULL);
  if (error == EPERM) {
    puts("no real-time threads here");
    return 0;
  }
  REQUIRE_COMPARE(error, ==, 0);
  /* Without a quota nothing is refused: then there is nothing to wait for. */
  while (!g_done) {
    free(Hide(malloc(HideSize(100 << 20))));
    free(Hide(malloc(HideSize(200 << 20))));
  }
  REQUIRE(pthread_join(thread, NULL) == 0);
  return 0;
}
