// What charge.cc and its child agree on: the child's lines.
#ifndef TASKMEM_TESTS_BENCH_CHARGE_PROTOCOL_H_
#define TASKMEM_TESTS_BENCH_CHARGE_PROTOCOL_H_

#include <cstdint>

namespace taskmem::bench {

// A line per phase: NAME LIVE RESIDENT CHARGED WRONG, numbers in bytes but for
// WRONG. RESIDENT is the growth since the threads exist. CHARGED is the sum over
// all tasks, or kNoAnswer where taskmem is not preloaded. WRONG counts sampled
// blocks whose owner is not the task that allocated them.
inline constexpr char kPhaseLine[] = "%s %lu %lu %lu %lu\n";
inline constexpr char kPhaseScan[] = "%31s %lu %lu %lu %lu";

inline constexpr uint64_t kNoAnswer = UINT64_MAX;

// The phases, in their order.
inline constexpr char kAllLive[] = "all-live";      // nothing freed
inline constexpr char kHalfFreed[] = "half-freed";  // half of it, by other threads
inline constexpr char kAllFreed[] = "all-freed";    // the rest, by its own threads
inline constexpr char kTasksEnded[] = "tasks-ended";

inline constexpr uint64_t kMinBlockBytes = 16;

}  // namespace taskmem::bench

#endif  // TASKMEM_TESTS_BENCH_CHARGE_PROTOCOL_H_
