// Books of processes that ended without a chance to remove them.
#ifndef TASKMEM_TOOLS_STATS_LEFT_OVERS_H_
#define TASKMEM_TOOLS_STATS_LEFT_OVERS_H_

#include <cstddef>
#include <ctime>
#include <vector>

#include "tools/stats/stats_files.h"

namespace taskmem {

// Whether the process ended without a chance to remove its books (it was killed, or crashed), and
// no live `taskmem run` will collect them.
bool IsLeftOver(const StatsFile& file);

// How long, and how many of, the books stay that are left over.
inline constexpr time_t kLeftOverSeconds = 24 * 60 * 60;
inline constexpr size_t kMostLeftOvers = 64;

// Removes what is left over for longer, counted from the first look at it, and of more than so
// many the oldest.
void TidyLeftOvers(const std::vector<StatsFile>& files);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_LEFT_OVERS_H_
