// Files that are memory themselves.
#ifndef TASKMEM_SPILL_FILES_KEPT_IN_MEMORY_H_
#define TASKMEM_SPILL_FILES_KEPT_IN_MEMORY_H_

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstdint>

namespace taskmem {

// Whether files of the file system are kept in memory (tmpfs, ramfs, huge pages): what is written
// there frees none.
inline bool IsKeptInMemory(const struct statfs& system) {
  switch (static_cast<uint32_t>(system.f_type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case HUGETLBFS_MAGIC: return true;
    default: return false;
  }
}

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_KEPT_IN_MEMORY_H_
