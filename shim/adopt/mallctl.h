// jemalloc's mallctl() of an allocator that was adopted. Figures of memory are of its blocks that
// live; of what belongs to arenas and caches, which do not exist, there is none; what only sets
// or asks for something there is taken and does nothing.
#ifndef TASKMEM_SHIM_ADOPT_MALLCTL_H_
#define TASKMEM_SHIM_ADOPT_MALLCTL_H_

#include <cstddef>
#include <cstdint>

namespace taskmem::adopt {

// As mallctl() has it.
struct ControlValues {
  void* old_value;
  size_t* old_bytes;
  void* new_value;
  size_t new_bytes;
};

// 0, ENOENT (no such name) or EINVAL (another length).
int ControlByName(uint32_t adopter, const char* name, const ControlValues& values);
int ControlByMib(uint32_t adopter, const size_t* mib, size_t length, const ControlValues& values);
__attribute__((force_align_arg_pointer)) int NameToMib(const char* name, size_t* mib,
                                                       size_t* length);

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_MALLCTL_H_
