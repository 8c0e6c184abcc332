// What each stack that allocates or maps memory holds now in a process, estimated from live samples
// (accounting/audit/site_table.h, MappingTag::site), read from outside.
#ifndef TASKMEM_TOOLS_AUDIT_SITE_ESTIMATES_H_
#define TASKMEM_TOOLS_AUDIT_SITE_ESTIMATES_H_

#include <cstdint>
#include <vector>

#include "tools/remote/allocator_view.h"
#include "tools/remote/mapped_ranges.h"
#include "tools/remote/remote_memory.h"
#include "tools/remote/smaps.h"
#include "tools/remote/unloaded_modules.h"

namespace taskmem {

// One stack and the task that owns what it allocated.
struct SiteEstimate {
  // Return addresses, the innermost first; in unloaded libraries, as UnloadedModules has them.
  std::vector<uint64_t> frames;
  uint32_t flags = 0;  // SiteFlags
  uint32_t slot = 0;
  uint64_t bytes = 0;  // estimate of the bytes asked for
  uint64_t samples = 0;
  double variance = 0;  // of the estimate

  // Half of an interval that holds the truth in 95 of 100 cases.
  uint64_t ErrorBytes() const;
};

struct SiteEstimates {
  bool is_on = false;
  uint64_t interval_bytes = 0;
  uint64_t lost_samples = 0;  // there was no room for, there or here
  uint64_t lost_bytes = 0;
  std::vector<SiteEstimate> sites;  // the largest first

  uint64_t Bytes() const;
};

// `head` is the address of a SiteTableHead in the process, or 0; `ranges` is what the kernel says
// is mapped.
SiteEstimates ReadSites(const RemoteMemory& memory, uint64_t head, AllocatorView* allocator,
                        const MappedRanges& mapped, const std::vector<MemoryRange>& ranges,
                        UnloadedModules* unloaded);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_SITE_ESTIMATES_H_
