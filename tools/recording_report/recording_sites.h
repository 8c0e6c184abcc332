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

// The stack of sites that are shown as one: it has none.
inline constexpr size_t kNoStack = SIZE_MAX;

// What lived at that look, the largest first. Of many sites (more than kMostLiveSites) the smallest
// are one for each task, with kNoStack.
std::vector<RecordedSite> LiveSites(const Recording& recording, int64_t us);
inline constexpr size_t kMostLiveSites = 50'000;

// Names of the code that is in the stacks: those of the recorder; where it was killed, from the
// files that are there now.
class RecordedSymbols {
 public:
  // `recording` outlives it.
  explicit RecordedSymbols(const Recording& recording);
  // Of a frame of the stack, as Recording has them; nullptr: nothing is known.
  const std::vector<Symbol>* Find(const RecordedStack& stack, uint64_t frame) const;

 private:
  const Recording& recording_;
  std::map<uint64_t, std::vector<Symbol>> others_;  // of the last program
};

// Sites of a recording as those of an audit, in the same order. What the sites point to is in
// `audit`. Where their frames take more than some 100 MB, the last sites have none.
struct SitesAsAudit {
  Audit audit;
  std::vector<NamedSite> sites;
};
SitesAsAudit AsAudit(const Recording& recording, const RecordedSymbols& symbols,
                     const std::vector<RecordedSite>& sites);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_SITES_H_
