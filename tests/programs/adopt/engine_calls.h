// The functions of engine_library.cc.
#ifndef TASKMEM_TESTS_PROGRAMS_ADOPT_ENGINE_CALLS_H_
#define TASKMEM_TESTS_PROGRAMS_ADOPT_ENGINE_CALLS_H_

#include <cstddef>

struct EngineCalls {
  void* (*malloc)(size_t);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void (*free)(void*);
  int (*posix_memalign)(void**, size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  void* (*mallocx)(size_t, int);
  void* (*rallocx)(void*, size_t, int);
  size_t (*xallocx)(void*, size_t, size_t, int);
  size_t (*sallocx)(const void*, int);
  void (*dallocx)(void*, int);
  void (*sdallocx)(void*, size_t, int);
  size_t (*nallocx)(size_t, int);
  size_t (*malloc_usable_size)(void*);
  int (*mallctlnametomib)(const char*, size_t*, size_t*);
  int (*mallctl)(const char*, void*, size_t*, void*, size_t);
  int (*mallctlbymib)(const size_t*, size_t, void*, size_t*, void*, size_t);
  void* early;
  const char* arena_start;
  const char* arena_end;

  bool IsOwn(const void* block) const {
    return arena_start <= static_cast<const char*>(block) && block < arena_end;
  }
};

#endif  // TASKMEM_TESTS_PROGRAMS_ADOPT_ENGINE_CALLS_H_
