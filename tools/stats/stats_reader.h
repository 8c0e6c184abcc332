// Snapshots of the books of processes, read from their stats files
// (accounting/audit/stats_layout.h) while they run or after they ended.
#ifndef TASKMEM_TOOLS_STATS_STATS_READER_H_
#define TASKMEM_TOOLS_STATS_STATS_READER_H_

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "accounting/audit/allocators_table.h"
#include "accounting/audit/audit_layout.h"
#include "shim/options/options.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {

// What was done to make room for a task (accounting/tasks/reclaim_book.h).
struct ReclaimStats {
  uint64_t spill_calls = 0;
  uint64_t spill_asked_bytes = 0;
  uint64_t spill_freed_bytes = 0;
  uint64_t soft_spill_calls = 0;
  uint64_t soft_spill_asked_bytes = 0;
  uint64_t soft_spill_freed_bytes = 0;
  uint64_t stalls = 0;
  uint64_t stall_ns = 0;
  uint64_t longest_stall_ns = 0;
  uint64_t evicted_blocks = 0;
  uint64_t evicted_bytes = 0;
  uint64_t written_bytes = 0;
  uint64_t read_bytes = 0;
  uint64_t overflow_bytes = 0;
  uint64_t peak_overflow_bytes = 0;
  uint64_t pushed_out_bytes = 0;
  uint64_t returned_bytes = 0;
  uint64_t waits = 0;
  uint64_t wait_ns = 0;
};

struct TaskStats {
  // Nothing: the ended tasks that were folded, the storage or the spill reserve.
  std::optional<uint64_t> id;
  std::string name;
  bool is_reserve = false;
  std::optional<uint64_t> quota_bytes;
  uint64_t charged_bytes = 0;
  std::optional<uint64_t> granted_bytes;  // acquired from the pools; nothing: draws on none
  uint64_t peak_charged_bytes = 0;        // never less than charged_bytes
  bool has_ended = false;
  uint64_t retained_bytes = 0;  // charged_bytes where the task has ended
  uint64_t refusals = 0;
  uint64_t overdraft_bytes = 0;
  uint64_t peak_overdraft_bytes = 0;
  uint64_t overdrafts = 0;
  uint64_t threads = 0;
  uint64_t pages = 0;
  ReclaimStats reclaim;
};

// --memory and what is taken of it. As of the last grant, but for unmanaged_bytes.
struct PoolUsage {
  std::optional<uint64_t> memory_bytes;  // nothing: unlimited, or not known yet
  bool is_memory_known = true;           // false: so little is held that it was not looked up
  uint64_t execution_size_bytes = 0;
  uint64_t execution_used_bytes = 0;  // granted to tasks
  uint64_t storage_size_bytes = 0;
  uint64_t storage_used_bytes = 0;
  uint64_t unmanaged_bytes = 0;  // untracked, folded ended tasks, the spill reserve, slack
  uint64_t overdrawn_bytes = 0;  // held beyond what could be granted
  uint64_t active_tasks = 0;
  uint64_t untouched_bytes = 0;  // granted beyond memory_bytes: not in memory, as of the last look
};

// What a task was refused first.
struct Refusal {
  uint64_t time_ns = 0;  // CLOCK_MONOTONIC
  uint64_t task_id = 0;
  std::string task_name;
  bool by_quota = false;  // else by --memory
  uint64_t bytes = 0;
  uint64_t held_bytes = 0;   // by the task
  uint64_t limit_bytes = 0;  // the quota, or --memory
  std::string site;          // the code that held most of it, and how much; empty: not known
};

// An allocator that the process has beside taskmem's (accounting/audit/allocators_table.h).
struct AllocatorStats {
  std::string allocator;  // "jemalloc"
  std::string library;
  std::string functions;  // "duckdb_je_*"; empty: they have no names
  AdoptionState state = AdoptionState::kKept;
  std::string how;                     // how it was adopted, or why not
  std::optional<uint64_t> live_bytes;  // of its blocks; nothing: it keeps its own memory
};

struct ProcessStats {
  pid_t pid = 0;
  uint64_t start_time = 0;
  bool is_alive = false;
  // These are the books of what it executed before; what runs now has none that can be read.
  bool has_left = false;
  std::string session;
  std::string program;
  std::string label;        // what it is called beside that; may be empty
  bool has_exited = false;  // its end was not that it was killed
  std::string
      exit_stats;     // the pattern of a file that it shall leave and has not left (exit_paths.h)
  std::string end;    // how it ended: "killed (signal 9)"; empty: by itself, or not yet
  std::string title;  // what people call it: "python3 job.py"; empty: not known
  uint64_t charged_bytes = 0;       // of all books
  uint64_t peak_charged_bytes = 0;  // never less than that, or than any book's peak
  uint64_t untracked_bytes = 0;
  uint64_t peak_untracked_bytes = 0;
  uint64_t resident_bytes = 0;
  uint64_t peak_resident_bytes = 0;
  uint64_t refusals = 0;
  PoolUsage pools;
  std::optional<Refusal> first_refusal;
  std::vector<TaskStats> tasks;  // in order of peak, the largest first
  std::vector<AllocatorStats> allocators;
};

// Nothing where the file is none of ours, of another version, or only half made.
std::optional<ProcessStats> ReadStatsFile(const std::string& path);

// `snapshot`: of StatsParts::kAll. `more_bytes`, by slot, as ResidentNow has it: what is charged
// beside what stands in the books.
ProcessStats ReadProcessStats(const StatsSnapshot& snapshot,
                              const std::vector<int64_t>& more_bytes = {});
std::vector<AllocatorStats> ReadAllocators(const StatsSnapshot& snapshot);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_STATS_READER_H_
