// What a call to mmap maps.
#ifndef TASKMEM_SHIM_MAPPINGS_MAPPING_CLASS_H_
#define TASKMEM_SHIM_MAPPINGS_MAPPING_CLASS_H_

#include <cstddef>
#include <cstdint>

#include "accounting/mappings/mapping_tag.h"

namespace taskmem {

// Asks the kernel about `fd` for a shared mapping of a file.
MappingClass ClassOfMapping(int flags, int fd);

// What the kernel makes of a length, in bytes: with huge pages, whole ones. 0: it overflows.
uint64_t MappedLength(size_t length, int flags);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_MAPPING_CLASS_H_
