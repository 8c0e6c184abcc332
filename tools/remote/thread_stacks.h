// Where the stacks of a process's threads are: those of live threads by what the allocator
// knows of them, those that libc keeps for later by the thread descriptor at their top.
#ifndef TASKMEM_TOOLS_REMOTE_THREAD_STACKS_H_
#define TASKMEM_TOOLS_REMOTE_THREAD_STACKS_H_

#include <cstdint>
#include <vector>

#include "accounting/audit/audit_layout.h"
#include "tools/remote/remote_memory.h"
#include "tools/remote/smaps.h"

namespace taskmem {

struct StackRange {
  uint64_t start = 0;
  uint64_t end = 0;
};

// In order of address, without overlaps; not the main thread's, which the kernel names.
std::vector<StackRange> FindThreadStacks(const std::vector<MemoryRange>& ranges,
                                         const RemoteMemory& memory, const AuditLayout& layout);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_THREAD_STACKS_H_
