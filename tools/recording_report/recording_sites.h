// The sites of a recording at a moment or in a range, with names.
#ifndef TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_SITES_H_
#define TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_SITES_H_

#include <cstdint>
#include <map>
#include <vector>

#include "tools/audit/audit.h"
#include "tools/recording/recording.h"
#include "tools/sites/named_sites.h"

namespace taskmem {

// The look that is nearest to the moment; nullptr: there was none.
const RecordedLook* LookNear(const Recording& recording, int64_t us);

// What lived at that look, the largest first.
std::vector<RecordedSite> LiveSites(const Recording& recording, int64_t us);

// By return address, as Recording has them.
using RecordedSymbols = std::map<uint64_t, std::vector<Symbol>>;

// Names of all code that is in the stacks: those of the recorder; where it was killed, from the
// files that are there now.
RecordedSymbols SymbolsOf(const Recording& recording);

// Sites of a recording as those of an audit. What the sites point to is in `audit`.
struct SitesAsAudit {
  Audit audit;
  std::vector<NamedSite> sites;
};
SitesAsAudit AsAudit(const Recording& recording, const RecordedSymbols& symbols,
                     const std::vector<RecordedSite>& sites);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_SITES_H_
