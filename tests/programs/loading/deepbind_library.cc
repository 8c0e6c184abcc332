// A library whose calls, when it is opened with RTLD_DEEPBIND, bind to libc's
// own malloc, free and strdup.
#include <malloc.h>

#include "tests/programs/support/check.h"

#define TASKMEM_TEST_EXPORT extern "C" __attribute__((visibility("default")))

TASKMEM_TEST_EXPORT void* DeepMalloc(size_t size) { return malloc(size); }
TASKMEM_TEST_EXPORT void* DeepCalloc(size_t size) { return calloc(1, size); }
TASKMEM_TEST_EXPORT void* DeepMemalign(size_t size) { return memalign(256, size); }
TASKMEM_TEST_EXPORT void* DeepRealloc(void* block, size_t size) { return realloc(block, size); }
TASKMEM_TEST_EXPORT char* DeepDuplicate(const char* text) { return strdup(text); }
TASKMEM_TEST_EXPORT size_t DeepUsableSize(void* block) { return malloc_usable_size(block); }
TASKMEM_TEST_EXPORT void DeepFree(void* block) { free(block); }
