#include "tools/stats/stats_reader.h"

#include <algorithm>
#include <utility>

#include "accounting/audit/stats_layout.h"
#include "tools/base/process_info.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

// `more_bytes`: charged beside what the book says.
TaskStats ReadBook(const TaskBook& book, uint64_t threads, int64_t more_bytes) {
  TaskStats task;
  const uint64_t quota = book.quota_bytes.load();
  if (quota != kNoQuota) task.quota_bytes = quota;
  const uint64_t granted = book.granted_bytes.load();
  if (granted != kNoPool) task.granted_bytes = granted;
  task.charged_bytes = book.charged_bytes.load();
  const auto fewer = static_cast<uint64_t>(more_bytes < 0 ? -more_bytes : 0);
  task.charged_bytes +=
      more_bytes > 0 ? static_cast<uint64_t>(more_bytes) : -std::min(fewer, task.charged_bytes);
  // A charge raises the peak a moment after it counts.
  task.peak_charged_bytes = std::max(book.peak_charged_bytes.load(), task.charged_bytes);
  task.refusals = book.refusals.load();
  task.overdraft_bytes = task.charged_bytes > quota ? task.charged_bytes - quota : 0;
  task.peak_overdraft_bytes = std::max(book.peak_overdraft_bytes.load(), task.overdraft_bytes);
  task.overdrafts = book.overdrafts.load();
  task.threads = threads;
  task.pages = book.pages.load();
  return task;
}

ReclaimStats ReadReclaim(const ReclaimBook& book) {
  return {.spill_calls = book.spill_calls,
          .spill_asked_bytes = book.spill_asked_bytes,
          .spill_freed_bytes = book.spill_freed_bytes,
          .soft_spill_calls = book.soft_spill_calls,
          .soft_spill_asked_bytes = book.soft_spill_asked_bytes,
          .soft_spill_freed_bytes = book.soft_spill_freed_bytes,
          .stalls = book.stalls,
          .stall_ns = book.stall_ns,
          .longest_stall_ns = book.longest_stall_ns,
          .evicted_blocks = book.evicted_blocks,
          .evicted_bytes = book.evicted_bytes,
          .written_bytes = book.written_bytes,
          .read_bytes = book.read_bytes,
          .overflow_bytes = book.overflow_bytes,
          .peak_overflow_bytes = book.peak_overflow_bytes,
          .pushed_out_bytes = book.pushed_out_bytes,
          .returned_bytes = book.returned_bytes,
          .waits = book.waits,
          .wait_ns = book.wait_ns};
}

std::vector<uint64_t> CountThreads(const StatsSnapshot& snapshot) {
  std::vector<uint64_t> threads(snapshot.slots());
  for (const ThreadEntry& entry : snapshot.Threads()) {
    const uint32_t slot_plus_one = entry.slot_plus_one;
    if (slot_plus_one != 0 && slot_plus_one <= threads.size()) ++threads[slot_plus_one - 1];
  }
  return threads;
}

PoolUsage ReadPools(const PoolStats& stats) {
  PoolUsage pools;
  const uint64_t memory = stats.memory_bytes.load();
  pools.is_memory_known = memory != 0;
  if (memory != 0 && memory != kNoPool) pools.memory_bytes = memory;
  pools.execution_size_bytes = stats.execution_size_bytes.load();
  pools.execution_used_bytes = stats.execution_used_bytes.load();
  pools.storage_size_bytes = stats.storage_size_bytes.load();
  pools.storage_used_bytes = stats.storage_used_bytes.load();
  pools.overdrawn_bytes = stats.overdrawn_bytes.load();
  pools.active_tasks = stats.active_tasks.load();
  pools.untouched_bytes = stats.untouched_bytes.load();
  pools.unmanaged_bytes = stats.slack_bytes.load();
  return pools;
}

// As the pools will have it once the task's memory is granted to it. What they lack by then is
// overdrawn.
void Grant(TaskStats* task, PoolUsage* pools) {
  if (!task->granted_bytes || *task->granted_bytes >= task->charged_bytes) return;
  uint64_t bytes = task->charged_bytes - *task->granted_bytes;
  *task->granted_bytes += bytes;
  if (pools->memory_bytes) {
    const uint64_t taken =
        pools->execution_used_bytes + pools->storage_used_bytes + pools->unmanaged_bytes;
    const uint64_t memory = *pools->memory_bytes + pools->untouched_bytes;
    const uint64_t free = memory - std::min(taken, memory);
    if (bytes > free) {
      pools->overdrawn_bytes += bytes - free;
      bytes = free;
    }
  }
  pools->execution_used_bytes += bytes;
  if (pools->execution_used_bytes <= pools->execution_size_bytes) return;
  const uint64_t more = pools->execution_used_bytes - pools->execution_size_bytes;
  pools->execution_size_bytes += more;
  pools->storage_size_bytes -= std::min(more, pools->storage_size_bytes);
}

void ReadBooks(const StatsSnapshot& snapshot, const std::vector<int64_t>& more_bytes,
               ProcessStats* process) {
  const std::vector<uint64_t> threads = CountThreads(snapshot);
  for (uint32_t slot = 0; slot < snapshot.slots(); ++slot) {
    const SlotIdentity& identity = snapshot.Identity(slot);
    const int64_t more = slot < more_bytes.size() ? more_bytes[slot] : 0;
    TaskStats task = ReadBook(snapshot.Book(slot), threads[slot], more);
    if (more > 0) Grant(&task, &process->pools);
    task.reclaim = ReadReclaim(snapshot.Reclaim(slot));
    process->charged_bytes += task.charged_bytes;
    // The header's peak is exact only to some KiB for each thread.
    process->peak_charged_bytes = std::max(process->peak_charged_bytes, task.peak_charged_bytes);
    process->refusals += task.refusals;
    if (slot < kFirstTaskSlot && slot != kStorageSlot) {
      process->pools.unmanaged_bytes += task.charged_bytes;
    }
    if (slot == kUntrackedSlot) {
      process->untracked_bytes = task.charged_bytes;
      process->peak_untracked_bytes = task.peak_charged_bytes;
      continue;
    }
    if (slot == kEndedTasksSlot) {
      if (task.peak_charged_bytes == 0 && snapshot.Header().tasks_folded == 0) continue;
      task.name = "ended tasks";
      task.has_ended = true;
    } else if (slot < kFirstTaskSlot) {
      if (task.peak_charged_bytes == 0) continue;
      task.name = identity.name;
      task.is_reserve = slot == kSpillReserveSlot;
    } else {
      if (identity.state == TaskState::kFree) continue;
      task.id = identity.id;
      task.name = identity.name;
      task.has_ended = identity.state == TaskState::kEnded;
    }
    if (task.has_ended) task.retained_bytes = task.charged_bytes;
    process->tasks.push_back(std::move(task));
  }
  std::stable_sort(process->tasks.begin(), process->tasks.end(),
                   [](const TaskStats& a, const TaskStats& b) {
                     return a.peak_charged_bytes > b.peak_charged_bytes;
                   });
}

}  // namespace

std::vector<AllocatorStats> ReadAllocators(const StatsSnapshot& snapshot) {
  const AllocatorsTable& table = snapshot.Allocators();
  std::vector<AllocatorStats> allocators;
  const uint32_t rows = std::min(table.rows.load(), AllocatorsTable::kMaxRows);
  for (uint32_t i = 0; i < rows; ++i) {
    const AllocatorRow& row = table.row[i];
    const AdoptionState state = row.state.load();
    if (state == AdoptionState::kNone || state > AdoptionState::kApart) continue;
    AllocatorStats allocator = {.allocator = FieldText(row.allocator),
                                .library = FieldText(row.library),
                                .functions = FieldText(row.functions),
                                .state = state,
                                .how = FieldText(row.how),
                                .live_bytes = std::nullopt};
    if (state == AdoptionState::kAdopted && !allocator.functions.empty()) {
      // What threads have not posted yet may be more than what is live.
      allocator.live_bytes = static_cast<uint64_t>(std::max<int64_t>(row.live_bytes.load(), 0));
    }
    allocators.push_back(std::move(allocator));
  }
  return allocators;
}

namespace {

std::optional<Refusal> ReadRefusal(const FirstRefusal& first) {
  if (first.state.load() != FirstRefusal::kWritten) return std::nullopt;
  return Refusal{.time_ns = first.time_ns,
                 .task_id = first.task_id,
                 .task_name = FieldText(first.name),
                 .by_quota = first.by_quota != 0,
                 .bytes = first.bytes,
                 .held_bytes = first.held_bytes,
                 .limit_bytes = first.limit_bytes,
                 .site = first.site_state.load() == FirstRefusal::kWritten ? FieldText(first.site)
                                                                           : std::string()};
}

}  // namespace

std::optional<ProcessStats> ReadStatsFile(const std::string& path) {
  const auto snapshot = StatsSnapshot::Read(path, StatsParts::kAll);
  if (!snapshot) return std::nullopt;
  return ReadProcessStats(*snapshot);
}

ProcessStats ReadProcessStats(const StatsSnapshot& snapshot,
                              const std::vector<int64_t>& more_bytes) {
  const StatsHeader& header = snapshot.Header();
  ProcessStats process;
  process.pid = static_cast<pid_t>(header.pid);
  process.start_time = header.start_time;
  process.session = FieldText(header.session);
  process.program = FieldText(header.program);
  process.label = FieldText(header.label[header.label_state.load() & 1]);
  process.exit_stats = FieldText(header.exit_stats);
  process.has_exited = header.state.load() == ProcessState::kExited;
  process.title = FieldText(header.title);
  process.first_refusal = ReadRefusal(header.first_refusal);
  process.is_alive = IsAlive(process.pid, header.start_time);
  process.pools = ReadPools(header.pools);
  ReadBooks(snapshot, more_bytes, &process);
  process.allocators = ReadAllocators(snapshot);
  process.peak_charged_bytes = std::max(
      {process.peak_charged_bytes, process.charged_bytes, header.peak_charged_bytes.load()});
  if (process.is_alive) {
    const ResidentBytes resident = ReadResidentBytes(process.pid);
    process.resident_bytes = resident.now;
    process.peak_resident_bytes = resident.peak;
  } else {
    process.resident_bytes = header.resident_bytes_at_exit;
    process.peak_resident_bytes = header.peak_resident_bytes;
  }
  // The kernel's two counters are not read at one time.
  process.peak_resident_bytes = std::max(process.peak_resident_bytes, process.resident_bytes);
  return process;
}

}  // namespace taskmem
