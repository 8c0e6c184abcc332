#include "tools/stats/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>

#include "shim/taskmem.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

constexpr size_t kMaxTables = 4;
constexpr size_t kMaxTasks = 20;
constexpr size_t kNameColumns = 20;

using Row = std::vector<std::string>;

enum class Align { kLeft, kRight };

// Pads every column to its widest cell.
std::string FormatRows(const std::vector<Row>& rows, const std::vector<Align>& aligns) {
  std::vector<size_t> widths(aligns.size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], fmt::formatted_size("{:1}", row[i]));
    }
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += "  ";
      line += aligns[i] == Align::kLeft ? fmt::format("{:<{}}", row[i], widths[i])
                                        : fmt::format("{:>{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string Program(const ProcessStats& process) {
  return Printable(std::filesystem::path(process.program).filename().string(), kNameColumns);
}

std::string BytesOrDash(uint64_t bytes) { return bytes == 0 ? "-" : HumanBytes(bytes); }
std::string CountOrDash(uint64_t count) { return count == 0 ? "-" : fmt::to_string(count); }

std::string TaskId(const std::optional<uint64_t>& id) { return id ? TaskIdText(*id) : "-"; }

Row TaskRow(const TaskStats& task) {
  return {TaskId(task.id),
          Printable(task.name, kNameColumns),
          HumanBytes(task.peak_charged_bytes),
          HumanBytes(task.charged_bytes),
          BytesOrDash(task.retained_bytes),
          task.quota_bytes ? HumanBytes(*task.quota_bytes) : "-",
          CountOrDash(task.refusals),
          BytesOrDash(task.peak_overdraft_bytes)};
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
  return line + fmt::format("; {} active task{}\n", pools.active_tasks,
                            pools.active_tasks == 1 ? "" : "s");
}

std::string FormatTable(const ProcessStats& process, PoolLines pool_lines) {
  std::vector<Row> rows = {{"task", "name", "peak", process.is_alive ? "now" : "at exit",
                            "retained", "quota", "refused", "overdrawn"}};
  const std::vector<TaskStats>& tasks = process.tasks;
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

  using enum Align;
  std::string text =
      fmt::format("taskmem: {}, pid {}, resident {}, peak resident {}\n", Program(process),
                  process.pid, BytesOrDash(process.resident_bytes),
                  BytesOrDash(process.peak_resident_bytes)) +
      FormatRows(rows, {kRight, kLeft, kRight, kRight, kRight, kRight, kRight, kRight});
  text += FormatReclaim(tasks);
  const bool is_short = process.refusals != 0 || process.pools.overdrawn_bytes != 0;
  if (pool_lines == PoolLines::kAll || is_short) text += PoolLine(process.pools);
  return text;
}

}  // namespace

std::string FormatTables(const std::vector<ProcessStats>& processes, PoolLines pool_lines) {
  const size_t shown = processes.size() <= kMaxTables + 1 ? processes.size() : kMaxTables;
  std::string text;
  for (size_t i = 0; i < shown; ++i) text += FormatTable(processes[i], pool_lines);
  if (shown < processes.size()) {
    uint64_t charged_bytes = 0;
    for (size_t i = shown; i < processes.size(); ++i) charged_bytes += processes[i].charged_bytes;
    text += fmt::format("taskmem: … {} more processes, {} in all\n", processes.size() - shown,
                        HumanBytes(charged_bytes));
  }
  return text;
}

std::string FormatProcessList(const std::vector<ProcessStats>& processes) {
  std::vector<Row> rows = {{"pid", "program", "charged", "peak", "resident", "tasks", "untracked"}};
  for (const ProcessStats& process : processes) {
    const auto tasks = std::count_if(process.tasks.begin(), process.tasks.end(),
                                     [](const TaskStats& task) { return task.id.has_value(); });
    rows.push_back({fmt::to_string(process.pid), Program(process),
                    HumanBytes(process.charged_bytes), HumanBytes(process.peak_charged_bytes),
                    HumanBytes(process.resident_bytes), fmt::to_string(tasks),
                    HumanBytes(process.untracked_bytes)});
  }
  using enum Align;
  return FormatRows(rows, {kRight, kLeft, kRight, kRight, kRight, kRight, kRight});
}

}  // namespace taskmem
