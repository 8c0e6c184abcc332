// jemalloc's functions over this allocator: what an engine that brings its own jemalloc is given
// instead, and Arrow's mimalloc likewise. As jemalloc(3) has them; arenas and thread caches that
// flags name do not exist here.
#ifndef TASKMEM_SHIM_ADOPT_JEMALLOC_CALLS_H_
#define TASKMEM_SHIM_ADOPT_JEMALLOC_CALLS_H_

#include <cstddef>
#include <cstdint>

namespace taskmem::adopt {

struct Replacement {
  const char* name;  // without the prefix
  bool is_core;      // every exported build has it
};

inline constexpr Replacement kJemallocFunctions[] = {
    {"malloc", true},
    {"calloc", true},
    {"realloc", true},
    {"free", true},
    {"posix_memalign", true},
    {"aligned_alloc", true},
    {"mallocx", true},
    {"rallocx", true},
    {"xallocx", true},
    {"sallocx", true},
    {"dallocx", true},
    {"sdallocx", true},
    {"nallocx", true},
    {"malloc_usable_size", true},
    {"memalign", false},
    {"valloc", false},
    {"pvalloc", false},
    {"malloc_size", false},
    {"free_sized", false},
    {"free_aligned_sized", false},
    {"malloc_default", false},
    {"free_default", false},
    {"sdallocx_default", false},
    {"mallctl", false},
    {"mallctlnametomib", false},
    {"mallctlbymib", false},
    {"malloc_stats_print", false},
};
inline constexpr size_t kJemallocFunctionCount =
    sizeof(kJemallocFunctions) / sizeof(kJemallocFunctions[0]);

// Arrow's wrappers; where a version has none it calls mimalloc's own functions, of these alone.
inline constexpr char kArrowPrefix[] = "arrow_mi_";
inline constexpr char kOldArrowPrefix[] = "mi_";
inline constexpr Replacement kArrowMimallocFunctions[] = {
    {"malloc_aligned", true},
    {"realloc_aligned", true},
    {"free", true},
};
inline constexpr size_t kArrowMimallocFunctionCount =
    sizeof(kArrowMimallocFunctions) / sizeof(kArrowMimallocFunctions[0]);

// From now on large blocks of Arrow's mimalloc get huge pages (HugePages of heap.h), as it would
// ask.
void GiveArrowHugePages();

// What is called instead, in the order of the names: of the allocator whose blocks are counted as
// `adopter`'s (adopted_bytes.h), at most kUncounted.
const void* const* JemallocTargets(uint32_t adopter);
const void* const* ArrowMimallocTargets(uint32_t adopter);

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_JEMALLOC_CALLS_H_
