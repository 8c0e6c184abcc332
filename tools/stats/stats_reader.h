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
  std::optional<uint64_t> quota_bytes;
  uint64_t charged_bytes = 0;
  std::optional<uint64_t> granted_bytes;  // acquired from the pools; nothing: draws on none
  uint64_t peak_charged_bytes = 0;        // never less than charged_bytes
  uint64_t retained_bytes = 0;            // charged_bytes where the task has ended
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
};

// Nothing where the file is none of ours, of another version, or only half made.
std::optional<ProcessStats> ReadStatsFile(const std::string& path);

ProcessStats ReadProcessStats(const StatsSnapshot& snapshot);  // of StatsParts::kAll

// The books of a live process that are in none of the folders, as it is in another root or mount
// name space. Nothing where it has none, or they cannot be read.
std::optional<ProcessStats> ReadStatsElsewhere(pid_t pid);

struct StatsFile {
  std::string path;
  ProcessStats process;
  bool is_kept = false;  // left over, and not to be removed yet
};

// The folders that hold stats files: the one that was named, or those of this user in
// StatsParent() that are nobody else's. What is reached by these paths stays the same folders:
// they stay open.
std::vector<std::string> StatsDirs(const Options& options);
// The same, with one at least, the first, made where there is none. Empty: that cannot be;
// `error` says why.
std::vector<std::string> MakeStatsDirs(const Options& options, std::string* error);

// For root: the folders of other users in StatsParent(), each its user's and nobody else's. Of the
// files there only those of live processes are read, at most kMostFilesOfOthers of a folder.
inline constexpr size_t kMostFilesOfOthers = 1024;
std::vector<std::string> OtherUsersStatsDirs();

// StatsDirs, and those where no folder was named.
std::vector<std::string> ReadableStatsDirs(const Options& options);

// Every stats file of a folder, in order of peak_charged_bytes, the largest
// first. Empty where there is no folder.
std::vector<StatsFile> ReadStatsDir(const std::string& dir);
// Of several folders.
std::vector<StatsFile> ReadStatsDirs(const std::vector<std::string>& dirs);

// What the audit needs of a process's books: which slot is whose, and where its tables are.
struct ProcessBooks {
  struct Slot {
    std::optional<uint64_t> id;
    std::string name;
    bool has_ended = false;
    uint64_t charged_bytes = 0;
  };
  pid_t pid = 0;
  uint64_t start_time = 0;
  std::string path;  // of the stats file
  std::string program;
  std::string title;  // as ProcessStats has it
  AuditLayout layout = {};
  std::vector<Slot> slots;  // by task slot
};

// Of a live process; nothing where there is none, or it has just been started.
std::optional<ProcessBooks> ReadProcessBooks(const std::vector<std::string>& dirs, pid_t pid);

// The process that `parent` started in the session, while it lives.
struct WatchedProcess {
  pid_t pid = 0;
  std::string path;              // of its stats file
  bool waits_for_audit = false;  // it is ending (accounting/audit/exit_audit_protocol.h)
};
std::optional<WatchedProcess> FindChildOf(const std::vector<std::string>& dirs,
                                          const std::string& session, pid_t parent);

// Lets a process that waits for its audit end.
void ReleaseFromAudit(const WatchedProcess& process);

// Whether the process ended without a chance to remove its books (it was killed, or crashed), and
// no live `taskmem run` will collect them.
bool IsLeftOver(const StatsFile& file);

// How long, and how many of, the books stay that are left over.
inline constexpr time_t kLeftOverSeconds = 24 * 60 * 60;
inline constexpr size_t kMostLeftOvers = 64;

// Removes what is left over for longer, counted from the first look at it, and of more than so
// many the oldest.
void TidyLeftOvers(const std::vector<StatsFile>& files);

// A name for one `taskmem run`, unique on this machine, which tells whether
// that run still lives. Less than 64 bytes.
std::string NewSession();
bool IsSessionAlive(const std::string& session);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_STATS_READER_H_
