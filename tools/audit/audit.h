// The audit of one process: which class of the ledger (accounting/audit/ledger.h) each of its
// resident bytes stands in, and whose it is.
#ifndef TASKMEM_TOOLS_AUDIT_AUDIT_H_
#define TASKMEM_TOOLS_AUDIT_AUDIT_H_

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "accounting/audit/ledger.h"
#include "tools/audit/site_estimates.h"
#include "tools/remote/mapped_ranges.h"
#include "tools/remote/modules.h"
#include "tools/remote/remote_memory.h"
#include "tools/remote/smaps.h"
#include "tools/stats/process_books.h"

namespace taskmem {

// Resident memory of a task, or of what stands for several: the storage, ended tasks.
struct TaskAudit {
  uint32_t slot = 0;
  std::optional<uint64_t> id;
  std::string name;
  bool has_ended = false;
  uint64_t charged_bytes = 0;  // by the books: page_bytes is what of it is resident
  uint64_t page_bytes = 0;
  uint64_t mapping_bytes = 0;
  // page_bytes by the size of the blocks (SizeClassOf).
  std::map<uint64_t, uint64_t> sizes;
};

struct Audit {
  pid_t pid = 0;
  std::string program;
  std::string title;                                  // as ProcessStats has it
  uint64_t resident_bytes = 0;                        // the kernel's, over all ranges
  std::array<uint64_t, kLedgerClasses> classes = {};  // add up to resident_bytes, exactly
  // Finer than the classes: what each holds by kind ("brk heap"); the kinds of a class add up
  // to it.
  std::map<std::pair<LedgerClass, std::string>, uint64_t> kinds;
  std::vector<MemoryRange> unknown;  // the largest resident_bytes first; only what is unknown
  std::vector<TaskAudit> tasks;      // the largest first
  std::vector<AllocatorStats> allocators;
  SiteEstimates sites;
  std::vector<Module> modules;  // for the symbols of sites; also those that were unloaded
  std::map<uint64_t, std::string> generated;  // functions at return addresses in no module
  bool is_cut_short = false;                  // the time was up before all tables were read

  uint64_t Bytes(LedgerClass ledger_class) const {
    return classes[static_cast<size_t>(ledger_class)];
  }
};

// What `memory` is of, and what of it the kernel says is there: never throws for what is found
// there. `mapped_before`: as of before the ranges were read. The layout is plausible.
Audit AuditMemory(const ProcessBooks& books, const MappedRanges& mapped_before,
                  std::vector<MemoryRange> ranges, const RemoteMemory& memory);

// Looks at a live process, at most 20 s. Where that is not possible: nothing, and in `error` a
// line that says why and what to do. The process is not stopped, and nothing of it is changed.
std::optional<Audit> TakeAudit(const ProcessBooks& books, std::string* error);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_AUDIT_H_
