// All stats files of a folder, each with what its process has now.
#ifndef TASKMEM_TOOLS_STATS_STATS_FILES_H_
#define TASKMEM_TOOLS_STATS_STATS_FILES_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shim/options/options.h"
#include "tools/stats/residency_looks.h"
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
// first. Empty where there is no folder. `looks`, if any: live processes are looked at.
std::vector<StatsFile> ReadStatsDir(const std::string& dir, ResidencyLooks* looks = nullptr);
// Of several folders.
std::vector<StatsFile> ReadStatsDirs(const std::vector<std::string>& dirs,
                                     ResidencyLooks* looks = nullptr);

// What a command may take that looks once.
inline constexpr auto kTimeOfOneLook = std::chrono::seconds(2);

// The books of a live process that are in none of the folders, as it is in another root or mount
// name space. Nothing where it has none, or they cannot be read.
std::optional<ProcessStats> ReadStatsElsewhere(pid_t pid, ResidencyLooks* looks = nullptr);

// The books of live processes, read again and again, with what is in memory now. Whether a process
// has executed something else since is looked up in /proc/PID/maps, for which the kernel keeps the
// process from mapping: at the first look, and then once in ten seconds.
class LiveBooks {
 public:
  // In ReadableStatsDirs(options). `only`: no other process is looked at.
  explicit LiveBooks(const Options& options, std::optional<pid_t> only = std::nullopt)
      : options_(options), only_(only), residency_(kTimeOfRound) {}
  ~LiveBooks() { CloseDirs(); }
  LiveBooks(const LiveBooks&) = delete;
  LiveBooks& operator=(const LiveBooks&) = delete;

  // In order of peak_charged_bytes, the largest first.
  std::vector<ProcessStats> Read();

 private:
  // Of which, by the rest that follows, one part in fifty is used in the long run.
  static constexpr auto kTimeOfRound = std::chrono::milliseconds(200);

  struct Look {
    time_t time = 0;
    bool is_its_own = false;
  };

  // Users come and go.
  void FindDirs();
  void CloseDirs();

  const Options options_;
  const std::optional<pid_t> only_;
  std::vector<std::string> dirs_;
  time_t dirs_found_ = 0;
  std::map<std::string, Look> looks_;  // by the file's name
  ResidencyLooks residency_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_STATS_FILES_H_
