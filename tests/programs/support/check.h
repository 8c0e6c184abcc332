/* What the tiny programs have in common. Works in C and C++; allocates nothing. */
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_CHECK_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_CHECK_H_

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __cplusplus
#include <initializer_list>
#endif

/* Ends the program with exit status 1 and one line that says what does not hold. */
#define REQUIRE(condition)                                                                     \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      const int require_errno = errno;                                                         \
      dprintf(STDERR_FILENO, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, \
              require_errno);                                                                  \
      _exit(1);                                                                                \
    }                                                                                          \
  } while (0)

/* As REQUIRE, with both numbers. */
#define REQUIRE_COMPARE(left, op, right)                                                          \
  do {                                                                                            \
    const long long require_left = (long long)(left);                                             \
    const long long require_right = (long long)(right);                                           \
    if (!(require_left op require_right)) {                                                       \
      dprintf(STDERR_FILENO, "%s:%d: not so: %s %s %s (%lld, %lld)\n", __FILE__, __LINE__, #left, \
              #op, #right, require_left, require_right);                                          \
      _exit(1);                                                                                   \
    }                                                                                             \
  } while (0)

/* Keeps the compiler from knowing what a pointer or a size is. */
static inline void* Hide(void* pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

static inline size_t HideSize(size_t size) {
  __asm__ volatile("" : "+r"(size));
  return size;
}

/* Fills a block so that HasPattern can tell it from any other. */
static inline void FillPattern(void* block, size_t size, unsigned seed) {
  unsigned char* bytes = (unsigned char*)block;
  for (size_t i = 0; i < size; ++i) bytes[i] = (unsigned char)(i * 31 + i / 251 + seed * 97 + 1);
}

static inline int HasPattern(const void* block, size_t size, unsigned seed) {
  const unsigned char* bytes = (const unsigned char*)block;
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != (unsigned char)(i * 31 + i / 251 + seed * 97 + 1)) return 0;
  }
  return 1;
}

/* What malloc(size) must be aligned to: nothing of 8 bytes or less needs more than 8. */
static inline size_t NaturalAlignment(size_t size) { return size <= 8 ? 8 : 16; }

static inline int IsAligned(const void* pointer, size_t alignment) {
  return (uintptr_t)pointer % alignment == 0;
}

/* A small generator of its own in each thread; never 0 when started from a seed above 0. */
static inline uint64_t NextRandom(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static inline uint64_t ResidentBytes(void) {
  unsigned long total = 0;
  unsigned long resident = 0;
  FILE* statm = fopen("/proc/self/statm", "r");
  REQUIRE(statm != NULL);
  REQUIRE(fscanf(statm, "%lu %lu", &total, &resident) == 2);
  fclose(statm);
  return (uint64_t)resident * 4096;
}

#endif /* TASKMEM_TESTS_PROGRAMS_SUPPORT_CHECK_H_ */
