// The spill consumers and the cached blocks of another process, read from its tables while it runs
// on (accounting/audit/reclaim_layout.h). What it says is not trusted: all is bounded.
#ifndef TASKMEM_TOOLS_REMOTE_RECLAIM_TABLES_H_
#define TASKMEM_TOOLS_REMOTE_RECLAIM_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/remote/remote_memory.h"

namespace taskmem {

struct RemoteConsumer {
  uint32_t slot = 0;  // of its task
  std::string name;   // whatever bytes the program chose
  uint64_t used_bytes = 0;
  bool has_own_thread = false;  // it is asked on a thread of taskmem's
  bool is_queued = false;       // a call of its hook
  bool is_running = false;
};

struct RemoteBlock {
  std::string name;  // as above
  uint64_t bytes = 0;
};

struct ReclaimTables {
  std::vector<RemoteConsumer> consumers;
  std::vector<RemoteBlock> blocks;  // the last used first
  bool has_more = false;            // than are read
};

// Of each at most this.
inline constexpr size_t kMostConsumers = 20'000;
inline constexpr size_t kMostBlocks = 20'000;

// `layout`: the address of a ReclaimLayout; 0: there are none.
ReclaimTables ReadReclaimTables(const RemoteMemory& memory, uint64_t layout);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_RECLAIM_TABLES_H_
