// A recording in memory: what happened to the tasks of a process, in order of time.
#ifndef TASKMEM_TOOLS_RECORDING_RECORDING_H_
#define TASKMEM_TOOLS_RECORDING_RECORDING_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "accounting/audit/event_ring.h"
#include "accounting/audit/ledger.h"
#include "tools/recording/record_types.h"
#include "tools/remote/modules.h"
#include "tools/sites/symboliser.h"

namespace taskmem {

// Times are in microseconds since the recording began, and
// none is after its end. A value holds until the next one.
struct RecordedValue {
  int64_t us = 0;
  uint64_t value = 0;
};

// In order of time; nothing before the first.
uint64_t ValueAt(const std::vector<RecordedValue>& values, int64_t us);

struct RecordedTask {
  uint32_t slot = 0;
  uint32_t flags = 0;          // RecordedTaskFlags
  std::optional<uint64_t> id;  // nothing: no task
  std::string name;            // the last
  int64_t begin_us = 0;
  std::optional<int64_t> end_us;   // what it holds from then on is retained
  std::optional<int64_t> gone_us;  // nothing is known of it from then on
  uint64_t peak_bytes = 0;         // exact, also between two values
  std::vector<RecordedValue> charged;
  std::vector<RecordedValue> quota;               // UINT64_MAX: none
  std::vector<RecordedValue> mapped;              // of its mappings, in memory; by looks at sites
  std::array<uint64_t, kCounters> counters = {};  // at the end
  // Changes of counters, in order of time.
  struct Change {
    int64_t us = 0;
    Counter counter = Counter::kPeak;
    uint64_t value = 0;  // from then on
    uint64_t before = 0;
  };
  std::vector<Change> changes;

  bool IsTask() const { return (flags & kTaskIsNone) == 0; }
  uint64_t Get(Counter counter) const { return counters[static_cast<size_t>(counter)]; }
};

struct RecordedEvent {
  int64_t us = 0;
  EventKind kind = EventKind::kRefusal;
  std::optional<size_t> task;
  uint32_t flags = 0;
  uint64_t bytes = 0;
  uint64_t held = 0;
  uint64_t limit = 0;  // UINT64_MAX: none; or a duration in ns
};

struct RecordedPools {
  int64_t us = 0;
  std::optional<uint64_t> memory_bytes;
  uint64_t execution_used = 0;
  uint64_t storage_used = 0;
  uint64_t overdrawn = 0;
  uint64_t active_tasks = 0;
  uint64_t slack = 0;
};

struct RecordedProcess {
  int64_t us = 0;
  uint64_t resident = 0;
  uint64_t charged = 0;
};

struct RecordedClasses {
  int64_t us = 0;
  std::array<uint64_t, kLedgerClasses> bytes = {};
};

// What changed between two looks at the sites; what is not named is as before.
struct RecordedSite {
  size_t stack = 0;
  std::optional<size_t> task;
  uint64_t bytes = 0;
};
struct RecordedLook {
  int64_t us = 0;
  std::vector<RecordedSite> sites;
};

struct RecordedStack {
  uint32_t flags = 0;            // SiteFlags
  uint64_t program = 0;          // of those that the process executed: the first is 0
  std::vector<uint64_t> frames;  // the innermost first
};

struct Recording {
  uint64_t unix_ns = 0;  // when it began
  uint64_t monotonic_ns = 0;
  uint64_t pid = 0;
  std::string program;
  std::string title;
  std::string version;  // of the taskmem that recorded
  bool has_events = false;
  std::map<std::string, std::string> settings;  // options by name, where they were given
  std::vector<RecordedTask> tasks;              // in the order in which they were seen
  std::vector<RecordedEvent> events;
  std::vector<RecordedPools> pools;
  std::vector<RecordedProcess> process;
  std::vector<RecordedClasses> classes;
  std::vector<RecordedLook> looks;
  std::vector<int64_t> times;         // of all looks, also those that found no change
  uint64_t sites_interval_bytes = 0;  // one of so many bytes was sampled; 0: none
  std::vector<RecordedStack> stacks;
  std::vector<Module> modules;  // of the last program
  // By RecordedStack::program and return address, those of the recorder: what was inlined there,
  // the innermost first, and the function that has the code.
  std::map<std::pair<uint64_t, uint64_t>, std::vector<Symbol>> symbols;
  uint64_t dropped_events = 0;
  uint64_t executions = 0;  // of other programs, by the process
  int64_t end_us = 0;
  EndReason end = EndReason::kUnknown;
  int end_signal = 0;  // that ended the process; 0: none, or not known
  std::string damage;  // how it ends before its end; empty: it is whole

  // What people call the program.
  const std::string& Name() const { return title.empty() ? program : title; }

  // What all tasks and no task held together, and when that was most.
  std::vector<RecordedValue> total;
  int64_t peak_us = 0;
};

// What the tasks hold together, over time.
std::vector<RecordedValue> TotalOf(const std::vector<const RecordedTask*>& tasks);

// What is read of a recording at most, in bytes of memory: what is beyond it is left out, and
// Recording::damage says so.
inline constexpr uint64_t kMostRecordingBytes = uint64_t{1} << 30;

// Nothing where it is no recording, or cannot be read: `error` says why.
std::optional<Recording> ReadRecording(const std::string& path, std::string* error);
// The same of what is in memory.
std::optional<Recording> ParseRecording(std::string_view file, std::string* error);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_RECORDING_H_
