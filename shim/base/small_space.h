// An address space that is limited (RLIMIT_AS, `ulimit -v`) so that the library's segments, of
// 32 MiB each, do not fit beside what the program needs: then it has no books, enforces nothing,
// and glibc's own heap serves the program.
//
// Decided once, before the first block is allocated: so all blocks are glibc's, or none.
#ifndef TASKMEM_SHIM_BASE_SMALL_SPACE_H_
#define TASKMEM_SHIM_BASE_SMALL_SPACE_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

// How much must be left where the program begins.
inline constexpr uint64_t kLeastAddressSpace = uint64_t{256} << 20;

// What a limit lets the process map, and what it has mapped of that.
struct MappingLimit {
  uint64_t bytes = UINT64_MAX;
  uint64_t mapped_bytes = 0;
  bool is_known = false;  // how much is mapped
};

// `which`: RLIMIT_AS or RLIMIT_DATA. False: it is not limited. Thread-safe, without locks.
bool ReadMappingLimit(int which, MappingLimit* limit);

struct LibcHeap {
  void* (*malloc)(size_t);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void* (*memalign)(size_t, size_t);
  void (*free)(void*);
  size_t (*usable_size)(void*);
};

// nullptr: the library's own heap serves the program.
extern const LibcHeap* g_libc_heap;

// Called once, under a lock.
void ChooseHeap();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_SMALL_SPACE_H_
