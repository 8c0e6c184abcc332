// What of the memory that a process charges by residency is in memory now, looked up from outside:
// no code runs in the process. Its own look (shim/mapping_book/residency_look.h) finds the same.
#ifndef TASKMEM_TOOLS_REMOTE_RESIDENT_NOW_H_
#define TASKMEM_TOOLS_REMOTE_RESIDENT_NOW_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "accounting/audit/audit_layout.h"
#include "tools/remote/remote_memory.h"

namespace taskmem {

struct ResidentNow {
  // ResidencyTable::changes. What was found holds as long as that is the same.
  uint64_t changes = 0;
  // By slot: how many bytes more are in memory than are charged; below 0: fewer. Empty where that
  // is none in any slot. Less than 2^47 either way.
  std::vector<int64_t> more_bytes;
};

// Looks as far as `memory` has time: nothing where that is not enough, where the process's own look
// came between, or where its memory may not be read. The layout is not trusted.
//
// What several processes or tasks have mapped may be in memory and not in this process's page
// table: a task with such a mapping is not found to have less than it is charged.
std::optional<ResidentNow> LookAtResident(pid_t pid, const RemoteMemory& memory,
                                          const AuditLayout& layout, uint32_t slots);

// ResidencyTable::changes as of now; nothing where it cannot be read or is changing.
std::optional<uint64_t> ResidencyChanges(const RemoteMemory& memory, const AuditLayout& layout);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_RESIDENT_NOW_H_
