/* Threads that end by the bare system call, so that nobody is told: what they had is found at
   the limit, and their stacks, which are unmapped by then, are left alone. Blocks of theirs that
   live on can be freed, and new threads go on with their contexts. */
#include <pthread.h>
#include <sys/syscall.h>

#include "tests/programs/support/check.h"

enum { kThreads = 8, kRounds = 20, kBlocks = 256 };

static void* End(void* kept) {
  /* Half of what it takes is left to others, so that its pages stay in use. */
  for (int i = 0; i < 100; ++i) {
    char* block = (char*)malloc(100 + (size_t)i);
    REQUIRE(block != NULL);
    FillPattern(block, 100, (unsigned)i);
    if (i == 0) {
      *(char**)kept = block;
    } else {
      free(block);
    }
  }
  syscall(SYS_exit, 0);
  return NULL;
}

static void* Live(void* unused) {
  (void)unused;
  for (int i = 0; i < 1000; ++i) free(Hide(malloc(16 + (size_t)i)));
  return NULL;
}

static int FillUp(void) {
  void* blocks[kBlocks];
  int count = 0;
  while (count < kBlocks && (blocks[count] = malloc(1 << 20)) != NULL) ++count;
  for (int i = 0; i < count; ++i) free(blocks[i]);
  return count;
}

int main(void) {
  /* Above what glibc keeps of stacks: they are unmapped when they are joined. */
  pthread_attr_t large;
  pthread_attr_init(&large);
  REQUIRE(pthread_attr_setstacksize(&large, 24 << 20) == 0);
  for (int round = 0; round < kRounds; ++round) {
    pthread_t threads[kThreads];
    char* kept[kThreads] = {NULL};
    for (int i = 0; i < kThreads; ++i) {
      REQUIRE(pthread_create(&threads[i], &large, End, &kept[i]) == 0);
    }
    for (int i = 0; i < kThreads; ++i) REQUIRE(pthread_join(threads[i], NULL) == 0);
    if (round % 2 == 0) REQUIRE_COMPARE(FillUp(), >=, 40);
    for (int i = 0; i < kThreads; ++i) {
      REQUIRE(pthread_create(&threads[i], NULL, Live, NULL) == 0);
    }
    for (int i = 0; i < kThreads; ++i) {
      REQUIRE(HasPattern(kept[i], 100, 0));
      free(kept[i]);
    }
    for (int i = 0; i < kThreads; ++i) REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  return 0;
}
