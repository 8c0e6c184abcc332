// All stats files of a folder, each with what its process has now.
#ifndef TASKMEM_TOOLS_STATS_STATS_FILES_H_
#define TASKMEM_TOOLS_STATS_STATS_FILES_H_

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tools/stats/stats_reader.h"

namespace taskmem {

struct StatsFile {
  std::string path;
  ProcessStats process;
  bool is_kept = false;  // left over, and not to be removed yet
};

// Of a folder of another user only the files of live processes are read, and at most so many.
inline constexpr size_t kMostFilesOfOthers = 1024;

// Every stats file of a folder, in order of peak_charged_bytes, the largest
// first. Empty where there is no folder.
std::vector<StatsFile> ReadStatsDir(const std::string& dir);
// Of several folders.
std::vector<StatsFile> ReadStatsDirs(const std::vector<std::string>& dirs);

// The books of a live process that are in none of the folders, as it is in another root or mount
// name space. Nothing where it has none, or they cannot be read.
std::optional<ProcessStats> ReadStatsElsewhere(pid_t pid);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_STATS_FILES_H_
