// The table that a process was to leave at its end (TASKMEM_STATS), and could not, as it was
// killed: whoever reads its books writes it.
#ifndef TASKMEM_TOOLS_STATS_EXIT_STATS_H_
#define TASKMEM_TOOLS_STATS_EXIT_STATS_H_

#include "tools/stats/left_overs.h"
#include "tools/stats/stats_files.h"

namespace taskmem {

// Of books that are left over (IsLeftOver). Nothing is done where there is nothing to write, or
// where the books are another user's: they name a file of ours. False: it could not be written,
// which one line says.
bool WriteExitStats(const StatsFile& file);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_EXIT_STATS_H_
