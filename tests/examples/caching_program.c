/* A program that knows nothing of taskmem: it keeps the results of an expensive function in a
 * cache that only grows, and drops it when drop_cache() is called (as its users may do from a
 * debugger). Linked with -rdynamic, as programs with plugins of their own are.
 *
 *   caching_program RESULTS
 *
 * Prints a digest of all results. plugin.c makes it work under a quota. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kResultBytes = 64 * 1024 + 512 * 1024, kPlaces = 1024 };

static pthread_mutex_t cache_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned char* cache[kPlaces];

/* Frees the cached results; returns how many bytes that were. */
size_t drop_cache(void) {
  size_t bytes = 0;
  pthread_mutex_lock(&cache_mutex);
  for (int i = 0; i < kPlaces; ++i) {
    if (cache[i] == NULL) continue;
    free(cache[i]);
    cache[i] = NULL;
    bytes += kResultBytes;
  }
  pthread_mutex_unlock(&cache_mutex);
  return bytes;
}

static uint64_t Compute(unsigned number, unsigned char* result) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kResultBytes; ++i) {
    result[i] = (unsigned char)(number * 31 + i * 7);
    sum = sum * 31 + result[i];
  }
  return sum;
}

int main(int argc, char** argv) {
  const unsigned results = argc == 2 ? (unsigned)atoi(argv[1]) : 100;
  uint64_t digest = 0;
  for (unsigned number = 0; number < results; ++number) {
    unsigned char* result = malloc(kResultBytes);
    if (result == NULL) {
      perror("a result");
      return 1;
    }
    digest = digest * 1099511628211u + Compute(number, result);
    pthread_mutex_lock(&cache_mutex);
    free(cache[number % kPlaces]);
    cache[number % kPlaces] = result;
    pthread_mutex_unlock(&cache_mutex);
  }
  printf("%u results, digest %016llx\n", results, (unsigned long long)digest);
  return 0;
}
