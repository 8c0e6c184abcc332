// The books of live processes as they are once it has been looked, from outside, what is in memory
// of that which is charged by residency (tools/remote/resident_now.h). A process looks itself only
// now and then, and one that merely touches its memory may not do so for long.
#ifndef TASKMEM_TOOLS_STATS_RESIDENCY_LOOKS_H_
#define TASKMEM_TOOLS_STATS_RESIDENCY_LOOKS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "tools/remote/resident_now.h"
#include "tools/stats/stats_reader.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {

// What it costs is bounded: all looks of a round take no longer than its time, and a process is
// looked at again once fifty times as long has passed as the round took by then. Until then what
// was found counts, unless the process has looked itself. A process for which there is no time is
// shown as of its own last look.
class ResidencyLooks {
 public:
  using Wanted = std::function<bool(const ProcessStats&)>;
  using Duration = std::chrono::steady_clock::duration;

  // `wanted`: of which processes; empty: of all.
  explicit ResidencyLooks(Duration time_of_round, Wanted wanted = nullptr)
      : time_of_round_(time_of_round), wanted_(std::move(wanted)) {}

  void BeginRound();

  // read(parts) reads the stats file that `process` was read from once more; `*process` becomes
  // what it is now. Nothing of what the process says is trusted; it is looked at by its pid.
  using Read = std::function<std::optional<StatsSnapshot>(StatsParts)>;
  void Refresh(const Read& read, ProcessStats* process);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Known {
    ResidentNow now;
    bool is_found = false;  // else there was no time, or no right to look
    Time rests_until;
    uint64_t round = 0;  // the last in which the process was there
  };

  const Known& Look(const StatsHeader& header);

  const Duration time_of_round_;
  const Wanted wanted_;
  Duration used_ = {};  // in this round
  uint64_t round_ = 0;
  std::map<std::pair<pid_t, uint64_t>, Known> known_;  // by pid and start time
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_RESIDENCY_LOOKS_H_
