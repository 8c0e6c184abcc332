// A recording as one sequence of steps, in order of time.
#ifndef TASKMEM_TOOLS_SIMULATION_REPLAY_STEPS_H_
#define TASKMEM_TOOLS_SIMULATION_REPLAY_STEPS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tools/recording/recording.h"

namespace taskmem {

struct ReplayStep {
  enum class Kind : uint8_t {
    kBegin,    // value: the quota
    kQuota,    // value: from now on
    kCharge,   // value: what the task holds from now on
    kPeak,     // value: what it held for a moment, since the step before
    kRefused,  // value: what a request needed that was refused; held: what the task held then
    kEnd,
    kGone,
    kSlack,  // value: free in the allocator, of no task
  };
  int64_t us;
  uint64_t value;
  uint64_t held;
  uint32_t task;
  Kind kind;
  bool by_quota;
};

// A request that was refused as memory was used up comes after the look that follows it: what
// others had taken by then is not known before.
std::vector<ReplayStep> StepsOf(const Recording& recording);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_SIMULATION_REPLAY_STEPS_H_
