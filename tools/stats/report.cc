#include "tools/stats/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>

#include "shim/taskmem.h"
#include "tools/base/task_id.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/stats/allocators_report.h"

namespace taskmem {
namespace {

// Of children: each that held at least so much, and at least so large a part of what the largest
// held, or that was refused something.
constexpr size_t kMaxChildTables = 3;
constexpr uint64_t kLeastTableBytes = uint64_t{1} << 20;
constexpr uint64_t kLeastTablePart = 8;
constexpr size_t kMaxTasks = 20;
constexpr size_t kNameColumns = 40;

using Row = std::vector<std::string>;

std::string Program(const ProcessStats& process) {
  return Shortened(process.title.empty()
                       ? std::filesystem::path(process.program).filename().string()
                       : process.title,
                   kNameColumns);
}

std::string Label(const ProcessStats& process) { return Shortened(process.label, kNameColumns); }

// As the head of a table has it.
std::string ProgramAndLabel(const ProcessStats& process) {
  return process.label.empty() ? Program(process)
                               : fmt::format("{} ({})", Program(process), Label(process));
}

std::string TaskId(const std::optional<uint64_t>& id) { return id ? TaskIdText(*id) : "-"; }

Row TaskRow(const TaskStats& task) {
  return {TaskId(task.id),
          Printable(task.name),
          HumanBytes(task.peak_charged_bytes),
          HumanBytes(task.charged_bytes),
          BytesOrDash(task.retained_bytes),
          task.quota_bytes ? HumanBytes(*task.quota_bytes) : "-",
          CountOrDash(task.refusals),
          BytesOrDash(task.peak_overdraft_bytes)};
}

// What hooks and destructors take for themselves is some bytes, mostly. The sums have it.
bool IsWorthARow(const TaskStats& task) {
  constexpr uint64_t kLeastReserveBytes = uint64_t{64} << 10;
  return !task.is_reserve || task.peak_charged_bytes >= kLeastReserveBytes;
}

// The tasks from `first` on in one row. Their peaks were not at one time: no sum.
Row RestRow(const std::vector<TaskStats>& tasks, size_t first) {
  TaskStats sum;
  for (size_t i = first; i < tasks.size(); ++i) {
    sum.charged_bytes += tasks[i].charged_bytes;
    sum.retained_bytes += tasks[i].retained_bytes;
    sum.refusals += tasks[i].refusals;
    sum.peak_overdraft_bytes += tasks[i].peak_overdraft_bytes;
  }
  sum.name = fmt::format("… {} more tasks", tasks.size() - first);
  Row row = TaskRow(sum);
  row[2] = "-";
  return row;
}

// Where --memory has gone. The parts add up, but for what changed while they were read.
std::string PoolLine(const PoolUsage& pools) {
  std::string line =
      fmt::format("  memory {}: execution {}, storage {}, unmanaged {}",
                  pools.memory_bytes      ? HumanBytes(*pools.memory_bytes)
                  : pools.is_memory_known ? "unlimited"
                                          : "not looked up yet",
                  HumanBytes(pools.execution_used_bytes), HumanBytes(pools.storage_used_bytes),
                  HumanBytes(pools.unmanaged_bytes));
  if (pools.overdrawn_bytes != 0) {
    line += fmt::format(", overdrawn {}", HumanBytes(pools.overdrawn_bytes));
  }
  if (pools.untouched_bytes != 0) {
    line += fmt::format(", untouched {}", HumanBytes(pools.untouched_bytes));
  }
  if (pools.memory_bytes) {
    const uint64_t taken = pools.execution_used_bytes + pools.storage_used_bytes +
                           pools.unmanaged_bytes + pools.overdrawn_bytes;
    // What is granted and not in memory takes no room.
    const uint64_t memory = *pools.memory_bytes + pools.untouched_bytes;
    line += fmt::format(", free {}", HumanBytes(memory - std::min(taken, memory)));
  }
  return line +
         fmt::format("; {} active task{}", pools.active_tasks, pools.active_tasks == 1 ? "" : "s");
}

std::string FormatTable(const ProcessStats& process, PoolLines pool_lines, size_t width) {
  using enum Align;
  const std::vector<Column> columns = {
      {"task"},
      {"name", kLeft, /*may_be_dropped=*/false, /*may_be_shortened=*/true},
      {"peak"},
      {process.is_alive ? "now" : "at exit"},
      {"retained", kRight, true},
      {"quota", kRight, true},
      {"refused", kRight, true},
      {"overdrawn", kRight, true}};
  std::vector<Row> rows;
  std::vector<TaskStats> tasks;
  std::copy_if(process.tasks.begin(), process.tasks.end(), std::back_inserter(tasks), IsWorthARow);
  // One task more takes no more room than the line that counts it.
  const size_t shown = tasks.size() <= kMaxTasks + 1 ? tasks.size() : kMaxTasks;
  std::transform(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(shown),
                 std::back_inserter(rows), TaskRow);
  if (shown < tasks.size()) rows.push_back(RestRow(tasks, shown));

  TaskStats untracked;
  untracked.name = "untracked";
  untracked.charged_bytes = process.untracked_bytes;
  untracked.peak_charged_bytes = process.peak_untracked_bytes;
  rows.push_back(TaskRow(untracked));

  TaskStats total;
  total.name = "total";
  total.charged_bytes = process.charged_bytes;
  total.peak_charged_bytes = process.peak_charged_bytes;
  total.refusals = process.refusals;
  for (const TaskStats& task : tasks) total.retained_bytes += task.retained_bytes;
  rows.push_back(TaskRow(total));

  std::string text = ReportLine(
      fmt::format("taskmem: {}, pid {},{} resident {}, peak resident {}", ProgramAndLabel(process),
                  process.pid, process.end.empty() ? "" : fmt::format(" {},", process.end),
                  BytesOrDash(process.resident_bytes), BytesOrDash(process.peak_resident_bytes)),
      width);
  text += FormatTable(columns, rows, width);
  text += FormatReclaim(tasks, width);
  for (const AllocatorStats& allocator : process.allocators) {
    // A managed heap is no news to whoever runs one.
    const bool is_shown = pool_lines == PoolLines::kAll || allocator.state != AdoptionState::kApart;
    if (is_shown) text += ReportLine("  " + AllocatorText(allocator), width);
  }
  const bool is_short = process.refusals != 0 || process.pools.overdrawn_bytes != 0;
  if (pool_lines == PoolLines::kAll || is_short) text += ReportLine(PoolLine(process.pools), width);
  return text;
}

// Whether a child is worth a table.
bool HeldMuch(const ProcessStats& child, uint64_t largest_bytes) {
  if (child.refusals != 0 || child.pools.overdrawn_bytes != 0) return true;
  return child.peak_charged_bytes >= kLeastTableBytes &&
         child.peak_charged_bytes >= largest_bytes / kLeastTablePart;
}

std::string FormatRest(const std::vector<const ProcessStats*>& rest, size_t width) {
  uint64_t charged_bytes = 0;
  const ProcessStats* largest = rest.front();
  for (const ProcessStats* process : rest) {
    charged_bytes += process->charged_bytes;
    if (process->peak_charged_bytes > largest->peak_charged_bytes) largest = process;
  }
  return ReportLine(
      fmt::format("taskmem: … {} more process{}, {} in all; the largest, {} (pid {}), peak {}",
                  rest.size(), rest.size() == 1 ? "" : "es", HumanBytes(charged_bytes),
                  Program(*largest), largest->pid, HumanBytes(largest->peak_charged_bytes)),
      width);
}

}  // namespace

std::string FormatTables(const std::vector<ProcessStats>& processes, PoolLines pool_lines,
                         size_t columns) {
  uint64_t largest_bytes = 0;
  for (const ProcessStats& process : processes) {
    largest_bytes = std::max(largest_bytes, process.peak_charged_bytes);
  }
  std::string text;
  size_t tables = 0;
  std::vector<const ProcessStats*> rest;
  for (const ProcessStats& process : processes) {
    // The first one's does not count.
    if (tables == 0 || (tables <= kMaxChildTables && HeldMuch(process, largest_bytes))) {
      text += FormatTable(process, pool_lines, columns);
      ++tables;
    } else {
      rest.push_back(&process);
    }
  }
  if (!rest.empty()) text += FormatRest(rest, columns);
  return text;
}

size_t CountTasks(const ProcessStats& process) {
  return static_cast<size_t>(
      std::count_if(process.tasks.begin(), process.tasks.end(),
                    [](const TaskStats& task) { return task.id.has_value(); }));
}

std::string FormatProcessList(const std::vector<ProcessStats>& processes, size_t columns) {
  using enum Align;
  const std::vector<Column> heads = {{"pid"},
                                     {"program", kLeft, false, true},
                                     {"label", kLeft, true, true},
                                     {"charged"},
                                     {"peak"},
                                     {"resident"},
                                     {"tasks"},
                                     {"untracked"}};
  std::vector<Row> rows;
  for (const ProcessStats& process : processes) {
    rows.push_back({fmt::to_string(process.pid), Program(process),
                    process.label.empty() ? "-" : Label(process), HumanBytes(process.charged_bytes),
                    HumanBytes(process.peak_charged_bytes), HumanBytes(process.resident_bytes),
                    fmt::to_string(CountTasks(process)), HumanBytes(process.untracked_bytes)});
  }
  return FormatTable(heads, rows, columns);
}

}  // namespace taskmem
