// The mapping calls of one way to reach libc.
#ifndef TASKMEM_TESTS_PROGRAMS_MAPPINGS_LIBC_MAPPING_CALLS_H_
#define TASKMEM_TESTS_PROGRAMS_MAPPINGS_LIBC_MAPPING_CALLS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

struct MappingCalls {
  void* (*map)(void*, size_t, int, int, int, off_t);
  int (*unmap)(void*, size_t);
  void* (*remap)(void*, size_t, size_t, int, ...);
  int (*protect)(void*, size_t, int);
  int (*advise)(void*, size_t, int);
  void* (*move_break)(intptr_t);
};

#endif  // TASKMEM_TESTS_PROGRAMS_MAPPINGS_LIBC_MAPPING_CALLS_H_
