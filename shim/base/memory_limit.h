// How much memory this process may have: what a container or the machine gives it.
#ifndef TASKMEM_SHIM_BASE_MEMORY_LIMIT_H_
#define TASKMEM_SHIM_BASE_MEMORY_LIMIT_H_

#include <cstdint>

namespace taskmem {

// The default of --memory, in bytes: the smallest limit of the control groups the process
// is in (version 1 or 2), or the machine's memory; less a reserve for what is not
// allocated: 300 MiB, as Spark's, but an eighth at most. UINT64_MAX where nothing says.
// Does I/O, about four system calls for each group; allocates nothing, takes little stack. One
// thread at a time.
uint64_t DefaultMemoryBytes();

// The same of the machine alone, by one system call.
uint64_t MachineMemoryBytes();

// The same from another root and group file, for tests: `root` + "/proc/self/cgroup" and so on.
uint64_t MemoryBytesFrom(const char* root);

// What of this process is in memory now and not a file's, in bytes; where /proc does not say, the
// most that ever was in memory. Does I/O, some 10 us; allocates nothing.
uint64_t ResidentMemoryBytes();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_MEMORY_LIMIT_H_
