// The folders that hold stats files.
#ifndef TASKMEM_TOOLS_STATS_STATS_DIRS_H_
#define TASKMEM_TOOLS_STATS_STATS_DIRS_H_

#include <string>
#include <vector>

#include "shim/options/options.h"

namespace taskmem {

// The folders that hold stats files: the one that was named, or those of this user in
// StatsParent() that are nobody else's. What is reached by these paths stays the same folders:
// they stay open.
std::vector<std::string> StatsDirs(const Options& options);
// The same, with one at least, the first, made where there is none. Empty: that cannot be;
// `error` says why.
std::vector<std::string> MakeStatsDirs(const Options& options, std::string* error);

// For root: the folders of other users in StatsParent(), each its user's and nobody else's. Of the
// files there only some are read (stats_files.h).
std::vector<std::string> OtherUsersStatsDirs();

// StatsDirs, and those where no folder was named.
std::vector<std::string> ReadableStatsDirs(const Options& options);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_STATS_DIRS_H_
