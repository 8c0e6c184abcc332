// What the audit needs of a process's books.
#ifndef TASKMEM_TOOLS_STATS_PROCESS_BOOKS_H_
#define TASKMEM_TOOLS_STATS_PROCESS_BOOKS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accounting/audit/audit_layout.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {

// Which slot is whose, and where its tables are.
struct ProcessBooks {
  struct Slot {
    std::optional<uint64_t> id;
    std::string name;
    bool has_ended = false;
    uint64_t charged_bytes = 0;
  };
  pid_t pid = 0;
  uint64_t start_time = 0;
  std::string path;  // of the stats file
  std::string program;
  std::string title;  // as ProcessStats has it
  AuditLayout layout = {};
  uint64_t reclaim_layout = 0;  // as StatsHeader has it
  std::vector<Slot> slots;      // by task slot
  std::vector<AllocatorStats> allocators;
};

// Of a live process; nothing where there is none, or it has just been started.
std::optional<ProcessBooks> ReadProcessBooks(const std::vector<std::string>& dirs, pid_t pid);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_PROCESS_BOOKS_H_
