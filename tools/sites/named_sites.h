// Allocation sites with names instead of addresses.
#ifndef TASKMEM_TOOLS_SITES_NAMED_SITES_H_
#define TASKMEM_TOOLS_SITES_NAMED_SITES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/audit/audit.h"
#include "tools/sites/symbols_apart.h"

namespace taskmem {

struct NamedFrame {
  Symbol symbol;
  uint64_t address = 0;
};

struct NamedSite {
  std::vector<NamedFrame> frames;   // the innermost first; empty: nothing is known
  bool is_cut = false;              // there were more
  const TaskAudit* task = nullptr;  // nullptr: untracked
  uint64_t bytes = 0;
  uint64_t error_bytes = 0;  // the truth is within that of `bytes`, in 95 of 100 cases
  uint64_t samples = 0;
};

// In the order of the audit, which outlives them; `most` of them, the largest. The process need
// not be there any more.
std::vector<NamedSite> NameSites(const Audit& audit, size_t most,
                                 NameAddresses name = NamesOfReturnAddresses);

// The same summed up by the module that called malloc: one frame each, without a function.
std::vector<NamedSite> SitesByModule(const std::vector<NamedSite>& sites);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_SITES_NAMED_SITES_H_
