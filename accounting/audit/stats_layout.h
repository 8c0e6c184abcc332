// The stats segment: the books of one process, in a file that others may map
// read-only at any time, without the process's cooperation. They write to two places of the header
// alone: `request` (process_request.h) and `exit_audit` (exit_audit_protocol.h).
//
//   file       <stats dir>/<pid>-<start time>, mode 0600, sparse
//   offset 0   StatsHeader
//              ThreadEntry[kMaxThreads]   which task each thread works for
//              TaskBook[kMaxTaskSlots]    one per task slot
//              ReclaimBook[kMaxTaskSlots] one per task slot
//              MappingsTable              what the program has mapped, as of the last look
//              AllocatorsTable            whose allocators there are beside taskmem's
//              EventRing                  what happened last, while somebody records it
//
// Books are counters that are right at every moment: each is one 64-bit atomic.
// What identifies a task (id, name, state) changes under TaskBook::sequence,
// which is odd meanwhile; a reader that sees it change reads again.
#ifndef TASKMEM_ACCOUNTING_AUDIT_STATS_LAYOUT_H_
#define TASKMEM_ACCOUNTING_AUDIT_STATS_LAYOUT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/audit/allocators_table.h"
#include "accounting/audit/audit_layout.h"
#include "accounting/audit/event_ring.h"
#include "accounting/audit/exit_audit_protocol.h"
#include "accounting/audit/process_request.h"
#include "accounting/base/round_up.h"
#include "accounting/tasks/reclaim_book.h"
#include "accounting/tasks/task_book.h"

namespace taskmem {

inline constexpr uint64_t kStatsMagic = 0x314d454d4b534154;  // "TASKMEM1"
inline constexpr uint32_t kStatsVersion = 12;

inline constexpr uint32_t kMaxThreads = 65536;
inline constexpr size_t kLabelBytes = 64;
inline constexpr size_t kExitPathBytes = 256;

enum class ProcessState : uint32_t { kRunning = 1, kExited = 2 };

// The pools of the process, as of the last grant, and how memory is divided.
struct PoolStats {
  std::atomic<uint64_t> memory_bytes;  // kNoPool: unlimited; 0: not looked up yet
  std::atomic<uint64_t> execution_size_bytes;
  std::atomic<uint64_t> execution_used_bytes;  // granted to tasks
  std::atomic<uint64_t> storage_size_bytes;
  std::atomic<uint64_t> storage_used_bytes;
  std::atomic<uint64_t> overdrawn_bytes;  // held beyond what could be granted
  std::atomic<uint64_t> active_tasks;     // N
  // By how much the pools are larger than memory_bytes: granted, and not in memory as far as has
  // been looked.
  std::atomic<uint64_t> untouched_bytes;
  std::atomic<uint64_t> slack_bytes;  // free in the allocator, in memory, and counted as unmanaged
};

// What a task was refused first in this process. Written once; read where `state` is kWritten, and
// the last field where `site_state` is.
struct FirstRefusal {
  enum State : uint32_t { kNone, kBeingWritten, kWritten };
  std::atomic<State> state;
  uint32_t by_quota;  // 1: the task's quota refused; 0: --memory
  uint64_t time_ns;   // CLOCK_MONOTONIC
  uint64_t task_id;
  uint64_t bytes;        // that were asked for
  uint64_t held_bytes;   // by the task
  uint64_t limit_bytes;  // the quota, or --memory
  char name[TaskBook::kNameBytes];
  std::atomic<State> site_state;
  char site[188];  // "12.0 MiB by inflate < read_rows (libz.so.1)": the code that held most of it
};

struct StatsHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t pid;
  uint32_t parent_pid;
  std::atomic<ProcessState> state;
  uint64_t start_time;  // field 22 of /proc/<pid>/stat: tells a reused pid apart
  // Of the `taskmem run` this process descends from, or empty: that command
  // reads the file when the process is gone and removes it.
  char session[64];
  char program[256];                         // what was executed, cut
  char title[80];                            // the same as people call it; empty: not known
  std::atomic<uint32_t> task_slots;          // slots ever used: TaskBooks beyond are zero
  std::atomic<uint32_t> thread_entries;      // entries ever used
  std::atomic<uint64_t> charged_bytes;       // of all tasks and untracked; see peak
  std::atomic<uint64_t> peak_charged_bytes;  // exact to 64 KiB for each thread
  std::atomic<uint64_t> tasks_begun;
  std::atomic<uint64_t> tasks_folded;  // ended tasks whose books were added to "ended tasks"
  std::atomic<uint64_t> own_bytes;     // mapped for taskmem's own bookkeeping
  // Written as the process exits; 0 where it was killed.
  std::atomic<uint64_t> resident_bytes_at_exit;
  std::atomic<uint64_t> peak_resident_bytes;
  std::atomic<uint32_t> shared_by_tasks;  // how many were active when pools' threads served several
  std::atomic<uint32_t> libc_redirected;  // 1: glibc's own entry points jump to ours
  PoolStats pools;
  AuditLayout audit;
  std::atomic<ExitAudit> exit_audit;
  // What the process is called, beside its program: of the two the one whose index is in the last
  // bit. The bit before it: the other is being written.
  char label[2][kLabelBytes];
  std::atomic<uint32_t> label_state;
  // Patterns of the files that it shall leave at its end (exit_paths.h); empty: none, or written.
  char exit_stats[kExitPathBytes];
  char exit_audit_file[kExitPathBytes];
  FirstRefusal first_refusal;
  ProcessRequest request;  // that others make of it
  // CLOCK_MONOTONIC; until then the process writes events into its ring. Written by recorders,
  // after they have given the ring space. 0: nobody records.
  std::atomic<uint64_t> record_until_ns;
  // Of a ReclaimLayout (reclaim_layout.h) in the process's memory; 0: it has neither spill
  // consumers nor cached blocks.
  std::atomic<uint64_t> reclaim_layout;
};

struct alignas(64) ThreadEntry {
  // Task slot plus one; 0: no thread.
  std::atomic<uint32_t> slot_plus_one;
  std::atomic<uint32_t> tid;
};

// A range that the program mapped.
struct MappedRow {
  std::atomic<uint64_t> start;
  std::atomic<uint64_t> end;
  std::atomic<uint64_t> tag;  // MappingTag::Unpack (mapping_tag.h); its library is an index below
};

// Written now and then, and as the process exits. The sequence is odd meanwhile: a reader that
// sees it change reads again. Each row was true when it was written.
struct MappingsTable {
  static constexpr uint32_t kMaxRows = 65536;
  static constexpr uint32_t kMaxLibraries = 1024;
  static constexpr uint32_t kNameBytes = 64;

  std::atomic<uint64_t> sequence;
  std::atomic<uint64_t> time_ns;  // CLOCK_MONOTONIC; 0: nothing has been written yet
  std::atomic<uint64_t> rows;
  std::atomic<uint64_t> more_ranges;  // that found no row
  std::atomic<uint64_t> lost_events;  // mapping calls that could not be noted
  std::atomic<uint64_t> libraries;
  std::atomic<uint64_t> thread_stack_bytes;  // in memory
  uint64_t reserved;
  char library[kMaxLibraries][kNameBytes];
  MappedRow row[kMaxRows];
};

// Rows of the tables by slot: whole pages.
inline constexpr uint32_t kTaskRows = 65536;
static_assert(kTaskRows > kMaxTaskSlots);
inline constexpr size_t kThreadsOffset = 4096;
inline constexpr size_t kTasksOffset = kThreadsOffset + size_t{kMaxThreads} * sizeof(ThreadEntry);
inline constexpr size_t kReclaimOffset = kTasksOffset + size_t{kTaskRows} * sizeof(TaskBook);
inline constexpr size_t kMappingsOffset = kReclaimOffset + size_t{kTaskRows} * sizeof(ReclaimBook);
inline constexpr size_t kAllocatorsOffset = RoundUp(kMappingsOffset + sizeof(MappingsTable));
inline constexpr size_t kEventsOffset = RoundUp(kAllocatorsOffset + sizeof(AllocatorsTable));
inline constexpr size_t kStatsBytes = RoundUp(kEventsOffset + sizeof(EventRing));

static_assert(sizeof(StatsHeader) <= kThreadsOffset);
static_assert(kTasksOffset % 4096 == 0);
static_assert(kReclaimOffset % 4096 == 0);
static_assert(kMappingsOffset % 4096 == 0);
static_assert(kAllocatorsOffset % 4096 == 0);
static_assert(kEventsOffset % 4096 == 0);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_STATS_LAYOUT_H_
