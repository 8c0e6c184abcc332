// What would have happened to a recorded program under other limits: its charges, begins, ends and
// refused requests once more, through the same books and pools that decide in the library.
//
// What a program would have done after a refusal that it did not meet, or without one that it met,
// nobody knows. It is taken to go on as recorded: what found no room is *short*, until the task
// has given so much back.
#ifndef TASKMEM_TOOLS_SIMULATION_SIMULATION_H_
#define TASKMEM_TOOLS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "accounting/memory/compatibility.h"
#include "tools/recording/recording.h"
#include "tools/simulation/replay_steps.h"

namespace taskmem {

// Nothing: as recorded.
struct SimulatedLimits {
  std::optional<uint64_t> quota_bytes;   // of every task; UINT64_MAX: none
  std::optional<uint64_t> memory_bytes;  // UINT64_MAX: no limit
  std::optional<Sharing> sharing;
  std::optional<double> storage_fraction;
};

// How a request that does not fit ends, as the recorded options say.
enum class ShortEnd : uint8_t {
  kRefused,
  kSpilled,     // the task's hooks were asked, and freed something, when recorded
  kOverflowed,  // --overflow
  kOverdrawn,   // --at-limit overdraw
  kKilled,      // --at-limit kill
};

struct FirstShort {
  int64_t us = 0;
  size_t task = 0;  // in the recording
  ShortEnd end = ShortEnd::kRefused;
  bool by_quota = false;  // else by --memory
  uint64_t needed_bytes = 0;
  uint64_t held_bytes = 0;
};

struct SimulationResult {
  std::optional<FirstShort> first;          // of any end
  std::optional<FirstShort> first_refusal;  // of those that are refused
  uint64_t times = 0;                       // that something found no room
  uint64_t tasks = 0;                       // that this happened to
  uint64_t refused_times = 0;
  uint64_t refused_bytes = 0;
  uint64_t spilled_bytes = 0;
  uint64_t overflow_bytes = 0;       // the most at one time
  uint64_t evicted_bytes = 0;        // of cached blocks
  uint64_t not_cached_bytes = 0;     // blocks that found no room
  uint64_t peak_held_bytes = 0;      // by all tasks and none
  std::optional<uint64_t> stall_ns;  // of spills; nothing: no rate was recorded
  std::vector<RecordedValue> held;   // by all, over time; of many values the larger ones
};

// Not thread-safe.
class Simulator {
 public:
  // `recording` outlives it, and stays as it is.
  explicit Simulator(const Recording& recording);

  SimulationResult Run(const SimulatedLimits& limits) const;

  // The least quota of every task with which nothing finds no room, to `step` bytes, by bisection.
  // Nothing: with none either.
  std::optional<uint64_t> FindQuota(SimulatedLimits limits, uint64_t step) const;

 private:
  const Recording& recording_;
  const std::vector<ReplayStep> steps_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_SIMULATION_SIMULATION_H_
