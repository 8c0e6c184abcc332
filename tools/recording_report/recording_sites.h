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

// By how much each site grew between the looks of a range: what was allocated and freed again
// between two looks is not in it.
std::vector<RecordedSite> GrownSites(const Recording& recording, int64_t from_us, int64_t to_us);

// Names of all code that is in the stacks: those of the recorder; where it was killed, and with
// `looks_up`, from the files that are there now.
std::map<uint64_t, Symbol> SymbolsOf(const Recording& recording, bool looks_up);

// Sites of a recording as those of an audit. What the sites point to is in `audit`.
struct SitesAsAudit {
  Audit audit;
  std::vector<NamedSite> sites;
};
SitesAsAudit AsAudit(const Recording& recording, const std::map<uint64_t, Symbol>& symbols,
                     const std::vector<RecordedSite>& sites);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_SITES_H_
