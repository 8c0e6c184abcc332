// What a recording consists of. FORMAT.md says what each record holds.
#ifndef TASKMEM_TOOLS_RECORDING_RECORD_TYPES_H_
#define TASKMEM_TOOLS_RECORDING_RECORD_TYPES_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

// Counts changes that readers of an older version would take for something else. Records of
// unknown types, and what follows in a record that is longer, are left out by readers.
inline constexpr uint32_t kRecordingVersion = 1;

// Of a frame, unpacked. Writers stay far below it.
inline constexpr size_t kMostFrameBytes = size_t{8} << 20;

enum class RecordType : uint32_t {
  kStart = 1,
  kSetting = 2,
  kTime = 3,
  kTask = 4,
  kTaskChange = 5,
  kCharge = 6,
  kCounters = 7,
  kTaskEnd = 8,
  kTaskGone = 9,
  kEvent = 10,
  kPools = 11,
  kProcess = 12,
  kClasses = 13,
  kModules = 14,
  kStack = 15,
  kSites = 16,
  kSymbol = 17,
  kDropped = 18,
  kEnd = 19,
  kMappings = 20,
};

// Flags of tasks.
enum RecordedTaskFlags : uint32_t {
  kTaskWasThere = 1,  // when the recording began
  kTaskIsNone = 2,    // untracked, ended tasks, the spill reserve or the storage
};

// Counters of a task by their index in a record.
enum class Counter : uint32_t {
  kPeak,
  kPeakOverdraft,
  kOverflow,  // a balance
  kPeakOverflow,
  kRefusals,
  kOverdrafts,
  kSpillCalls,
  kSpillAsked,
  kSpillFreed,
  kSoftSpillCalls,
  kSoftSpillFreed,
  kStalls,
  kStallNs,
  kEvictedBlocks,
  kEvictedBytes,
  kWrittenBytes,
  kReadBytes,
  kPushedOut,
  kReturned,
  kWaits,
  kWaitNs,
};
inline constexpr size_t kCounters = static_cast<size_t>(Counter::kWaitNs) + 1;

// Keys of the counters in JSON.
inline constexpr const char* kCounterKeys[kCounters] = {"peak_bytes",
                                                        "peak_overdraft_bytes",
                                                        "overflow_bytes",
                                                        "peak_overflow_bytes",
                                                        "refusals",
                                                        "overdrafts",
                                                        "spill_calls",
                                                        "spill_asked_bytes",
                                                        "spill_freed_bytes",
                                                        "soft_spill_calls",
                                                        "soft_spill_freed_bytes",
                                                        "stalls",
                                                        "stall_ns",
                                                        "evicted_blocks",
                                                        "evicted_bytes",
                                                        "written_bytes",
                                                        "read_bytes",
                                                        "pushed_out_bytes",
                                                        "returned_bytes",
                                                        "waits",
                                                        "wait_ns"};

enum class EndReason : uint32_t {
  kUnknown = 0,   // the recording ends without saying so: the recorder was killed
  kEnded = 1,     // the process did
  kStopped = 2,   // somebody stopped the recorder
  kExecuted = 3,  // the process executed another program, whose records follow
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_RECORD_TYPES_H_
