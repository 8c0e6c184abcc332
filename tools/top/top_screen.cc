#include "tools/top/top_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "shim/base/version.h"
#include "tools/base/cells.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"
#include "tools/top/task_screen.h"

namespace taskmem {
namespace {

// Above the rows, and below them.
constexpr size_t kHeadLines = 6;
constexpr size_t kFootLines = 2;
constexpr size_t kNameColumns = 24;

std::string Left(std::string_view text, size_t columns) { return LeftInCells(text, columns); }
std::string Right(std::string_view text, size_t columns) { return RightInCells(text, columns); }

struct ColumnInfo {
  TopColumn column;
  const char* heading;
  size_t width;
};

// In the order of the screen. The name has what is left.
constexpr ColumnInfo kColumns[] = {
    {TopColumn::kPid, "PID", 7},       {TopColumn::kTask, "TASK", 9},
    {TopColumn::kName, "NAME", 5},     {TopColumn::kHeld, "HELD", 6},
    {TopColumn::kShare, "QUOTA", 8},   {TopColumn::kPeak, "PEAK", 6},
    {TopColumn::kGrowth, "+/S", 7},    {TopColumn::kRefused, "REF", 5},
    {TopColumn::kSpilled, "SPILL", 6}, {TopColumn::kOverflow, "OVER", 6},
    {TopColumn::kStalled, "STALL", 5}};
static_assert(std::size(kColumns) == kTopColumns);

std::string ShortCount(uint64_t count) {
  if (count == 0) return "-";
  if (count < 100'000) return fmt::to_string(count);
  if (count < 10'000'000) return fmt::format("{}k", count / 1000);
  return count < 10'000'000'000 ? fmt::format("{}M", count / 1'000'000) : "many";
}

std::string ShortTime(uint64_t ns) {
  if (ns == 0) return "-";
  const double seconds = static_cast<double>(ns) / 1e9;
  if (seconds < 0.9995) return fmt::format("{:.0f}ms", std::max(seconds * 1000, 1.0));
  if (seconds < 99.95) return fmt::format("{:.1f}s", seconds);
  if (seconds < 9999) return fmt::format("{:.0f}s", seconds);
  return fmt::format("{:.0f}h", seconds / 3600);
}

std::string BytesOrDash(uint64_t bytes) { return bytes == 0 ? "-" : ShortBytes(bytes); }

std::string Growth(double bytes) {
  const double size = std::abs(bytes);
  if (size < 1) return "-";
  return (bytes < 0 ? "-" : "+") + ShortBytes(static_cast<uint64_t>(std::min(size, 1e18)));
}

// "[##-] 78%" in eight columns: "##- 78%".
std::string ShareText(double share, size_t columns) {
  if (share < 0) return Right("-", columns);
  const double capped = std::min(share, 9.99);
  constexpr size_t kBar = 3;
  const auto full = static_cast<size_t>(std::min(1.0, share) * kBar + 0.5);
  return std::string(full, '#') + std::string(kBar - full, '.') +
         fmt::format("{:>{}}", fmt::format("{:.0f}%", std::floor(capped * 100)), columns - kBar);
}

Style StyleOf(const TopTask& task) {
  if (task.stats.has_ended) return Style::kDim;
  if (task.share >= 1) return Style::kBad;
  if (task.share >= 0.9) return Style::kWarning;
  return Style::kPlain;
}

std::string Cell(const TopTask& task, TopColumn column, size_t width) {
  switch (column) {
    case TopColumn::kPid: return Right(fmt::to_string(task.key.pid), width);
    case TopColumn::kTask:
      return Right(task.stats.id ? CutToCells(TaskIdText(*task.stats.id), width) : "-", width);
    case TopColumn::kName: return Left(task.name, width);
    case TopColumn::kHeld: return Right(ShortBytes(task.stats.charged_bytes), width);
    case TopColumn::kShare: return ShareText(task.share, width);
    case TopColumn::kPeak: return Right(ShortBytes(task.stats.peak_charged_bytes), width);
    case TopColumn::kGrowth: return Right(Growth(task.growth), width);
    case TopColumn::kRefused: return Right(ShortCount(task.stats.refusals), width);
    case TopColumn::kSpilled: return Right(BytesOrDash(task.spilled_bytes), width);
    case TopColumn::kOverflow: return Right(BytesOrDash(task.stats.reclaim.overflow_bytes), width);
    case TopColumn::kStalled: return Right(ShortTime(task.stats.reclaim.stall_ns), width);
  }
  return "";
}

// Columns and their widths on a screen of so many columns, and what is left for the history.
struct Columns {
  std::vector<ColumnInfo> shown;
  size_t history = 0;
};

Columns ColumnsFor(const TopModel& model, size_t columns) {
  constexpr size_t kLeastHistory = 10;
  Columns result;
  size_t used = 0;
  for (const ColumnInfo& column : kColumns) {
    if (column.column == TopColumn::kPid && model.processes().size() <= 1) continue;
    result.shown.push_back(column);
    used += column.width + (used == 0 ? 0 : 1);
  }
  size_t left = columns > used ? columns - used : 0;
  for (ColumnInfo& column : result.shown) {
    if (column.column != TopColumn::kName) continue;
    const size_t more = std::min(left, kNameColumns - column.width);
    column.width += more;
    left -= more;
  }
  if (left > kLeastHistory) result.history = std::min(left - 1, TopModel::kHistory);
  return result;
}

ScreenLine HeadingLine(const TopModel& model, const Columns& columns) {
  ScreenLine line;
  for (const ColumnInfo& column : columns.shown) {
    const bool is_sorted = column.column == model.sort_column();
    std::string heading = column.heading;
    if (is_sorted) heading += model.is_reversed() ? "^" : "v";
    heading = column.column == TopColumn::kName ? Left(heading, column.width)
                                                : Right(heading, column.width);
    line.push_back({(line.empty() ? "" : " ") + heading, Style::kHeading});
  }
  if (columns.history != 0)
    line.push_back({" " + Left("MINUTE", columns.history), Style::kHeading});
  return line;
}

ScreenLine TaskLine(const TopModel& model, const TopView& view, const TopTask& task,
                    const Columns& columns) {
  const bool is_selected = view.selected == task.key;
  const Style style = is_selected ? Style::kSelected : StyleOf(task);
  ScreenLine line;
  for (const ColumnInfo& column : columns.shown) {
    line.push_back({(line.empty() ? "" : " ") + Cell(task, column.column, column.width), style});
  }
  if (columns.history != 0) {
    line.push_back(
        {" " + Sparkline(model.History(task.key), columns.history, view.is_utf8), style});
  }
  return line;
}

std::string ProgramOf(const ProcessStats& process) {
  const std::string name = process.title.empty()
                               ? std::filesystem::path(process.program).filename().string()
                               : process.title;
  return Printable(process.label.empty() ? name : fmt::format("{} ({})", name, process.label));
}

// Memory as one bar: tasks and what is unmanaged from the left, blocks from the right, and where
// the pools meet.
ScreenLine PoolBar(const PoolUsage& pools, size_t columns) {
  ScreenLine line = {{"["}};
  const size_t room = columns > 3 ? columns - 2 : 1;
  const uint64_t memory = pools.memory_bytes.value_or(0) + pools.untouched_bytes;
  const auto part = [&](uint64_t bytes) {
    return memory == 0
               ? size_t{0}
               : static_cast<size_t>(static_cast<double>(bytes) / static_cast<double>(memory) *
                                         static_cast<double>(room) +
                                     0.5);
  };
  std::string cells(room, '.');
  const auto fill = [&](size_t from, size_t count, char mark) {
    for (size_t i = from; i < std::min(room, from + count); ++i) cells[i] = mark;
  };
  const size_t execution = part(pools.execution_used_bytes);
  const size_t storage = std::min(room, part(pools.storage_used_bytes));
  fill(room - storage, storage, 'S');
  fill(0, execution, 'E');
  fill(execution, part(pools.unmanaged_bytes + pools.overdrawn_bytes), 'U');
  const size_t boundary = std::min(room - 1, part(pools.execution_size_bytes));
  if (memory != 0) cells[boundary] = '|';
  for (size_t at = 0; at < room;) {
    const size_t end = cells.find_first_not_of(cells[at], at);
    const size_t next = end == cells.npos ? room : end;
    const Style style = cells[at] == 'E'   ? Style::kGood
                        : cells[at] == 'S' ? Style::kStorage
                        : cells[at] == 'U' ? Style::kUnmanaged
                        : cells[at] == '|' ? Style::kHeading
                                           : Style::kDim;
    line.push_back({cells.substr(at, next - at), style});
    at = next;
  }
  line.push_back({"]"});
  return line;
}

std::string PoolText(const PoolUsage& pools) {
  const uint64_t taken = pools.execution_used_bytes + pools.storage_used_bytes +
                         pools.unmanaged_bytes + pools.overdrawn_bytes;
  const uint64_t memory = pools.memory_bytes.value_or(0) + pools.untouched_bytes;
  std::string text =
      fmt::format("memory {}: Execution {}, Storage {}, Unmanaged {}",
                  pools.memory_bytes ? ShortBytes(*pools.memory_bytes) : "unlimited",
                  ShortBytes(pools.execution_used_bytes), ShortBytes(pools.storage_used_bytes),
                  ShortBytes(pools.unmanaged_bytes));
  if (pools.overdrawn_bytes != 0)
    text += fmt::format(", over {}", ShortBytes(pools.overdrawn_bytes));
  if (pools.memory_bytes)
    text += fmt::format(", free {}", ShortBytes(memory - std::min(taken, memory)));
  return text;
}

std::vector<ScreenLine> Head(const TopModel& model, const TopView& view, ScreenSize size) {
  std::vector<ScreenLine> lines;
  const size_t processes = model.processes().size();
  std::string first = fmt::format("taskmem top {}  {}  {} process{}, {} row{}", kVersion, view.time,
                                  processes, processes == 1 ? "" : "es", model.rows().size(),
                                  model.rows().size() == 1 ? "" : "s");
  if (!model.filter().empty()) {
    first += fmt::format(" of {} with '{}'", model.all_tasks(), Printable(model.filter(), 20));
  }
  if (view.is_paused) first += "  PAUSED";
  lines.push_back({{Left(first, size.columns), Style::kHeading}});
  // Of the selected task's process.
  const TopProcess* process = view.selected ? model.Find(*view.selected) : nullptr;
  if (process == nullptr && processes != 0) process = &model.processes().front();
  if (process == nullptr) {
    lines.push_back({{"no process under taskmem", Style::kDim}});
    lines.resize(kHeadLines - 1);
    return lines;
  }
  const ProcessStats& stats = process->stats;
  const std::string figures =
      fmt::format("  resident {}, peak {}; {} task{}, {} live", ShortBytes(stats.resident_bytes),
                  ShortBytes(stats.peak_resident_bytes), process->tasks,
                  process->tasks == 1 ? "" : "s", process->live_tasks);
  const std::string pid = fmt::format("pid {} ", stats.pid);
  const size_t room = size.columns - std::min(size.columns, pid.size() + figures.size());
  lines.push_back({{pid}, {CutToCells(ProgramOf(stats), room)}, {figures}});
  lines.push_back(PoolBar(stats.pools, size.columns));
  lines.push_back({{CutToCells(PoolText(stats.pools), size.columns)}});
  const TopRates& rates = process->rates;
  lines.push_back({{CutToCells(
      fmt::format("a second: charged {}, spilled {}, overflow {}, refused {:.1f}, stalled {:.2f} s",
                  Growth(rates.charged), ShortBytes(static_cast<uint64_t>(rates.spilled)),
                  ShortBytes(static_cast<uint64_t>(rates.overflow)), rates.refusals, rates.stalled),
      size.columns)}});
  return lines;
}

std::vector<ScreenLine> Foot(const TopModel& model, const TopView& view, ScreenSize size) {
  std::vector<ScreenLine> lines(kFootLines);
  const TopTask* const task = view.selected ? model.FindTask(*view.selected) : nullptr;
  if (task != nullptr) {
    const std::vector<uint64_t> history = model.History(task->key);
    const uint64_t most = history.empty() ? 0 : *std::max_element(history.begin(), history.end());
    const std::string label = Left(task->name, 12) + " " + Right(ShortBytes(most), 6) + " ";
    const size_t room = std::min<size_t>(TopModel::kHistory, size.columns - CellsOf(label));
    lines[0] = {{label}, {Sparkline(history, room, view.is_utf8), Style::kGood}};
  }
  if (!view.prompt.empty()) {
    lines[1] = {{CutToCells(view.prompt, size.columns), Style::kWarning}};
  } else if (!view.message.empty()) {
    lines[1] = {{CutToCells(view.message, size.columns), Style::kWarning}};
  } else {
    lines[1] = {
        {CutToCells(
             "q quit  h help  enter task  <> sort  / filter  p pause  u quota  s spill  e end",
             size.columns),
         Style::kDim}};
  }
  return lines;
}

// A table's heading is not there.
size_t TaskRoom(ScreenSize size) { return RowsOnScreen(size) + 1; }

// As many of the task's lines as there is room for. The last one says how many are below.
void AddTask(std::vector<ScreenLine> task, size_t first, ScreenSize size,
             std::vector<ScreenLine>* lines) {
  const size_t room = TaskRoom(size);
  first = std::min(first, task.size() - std::min(task.size(), room));
  const size_t end = std::min(task.size(), first + room);
  for (size_t i = first; i < end; ++i) lines->push_back(std::move(task[i]));
  if (end == task.size()) return;
  lines->back() = {
      {fmt::format("... {} more lines: page down", task.size() - end + 1), Style::kDim}};
}

// On a screen that is smaller than it should be, and where there are no other characters.
void Fit(const TopView& view, ScreenSize size, std::vector<ScreenLine>* lines) {
  for (ScreenLine& line : *lines) {
    size_t left = size.columns;
    for (Span& span : line) {
      if (!view.is_utf8) span.text = AsciiOf(span.text);
      if (CellsOf(span.text) > left) span.text = CutToCells(span.text, left);
      left -= std::min(left, CellsOf(span.text));
    }
  }
}

std::vector<ScreenLine> Help() {
  constexpr const char* kLines[] = {
      "up down pgup pgdn home end   another task",
      "enter                        all of the task, by pages; escape comes back",
      "<  >  r                      sort by the next column; the other way round",
      "/                            only what has a text in its name, program or id",
      "p or space                   pause, and go on",
      "u                            another quota for the task",
      "s                            asks the task's spill hooks to free memory",
      "e                            ends the task by policy: its quota becomes 1 byte, so that",
      "                             --at-limit decides when it next wants memory",
      "a                            with one task: takes an audit, and shows its sites",
      "h or ?  q                    this, and any key comes back; quits",
      "",
      "HELD is what is charged to a task now, QUOTA its part of the quota, +/S its growth a",
      "second, REF what was refused, SPILL what hooks and evicted blocks gave, OVER what lies in",
      "the overflow file, STALL how long its allocations had to wait for room.",
      "The bar: E execution, U unmanaged, S storage, | where the two pools meet."};
  std::vector<ScreenLine> lines;
  for (const char* line : kLines) lines.push_back({{line}});
  return lines;
}

}  // namespace

std::string ShortBytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::to_string(bytes);
  double value = static_cast<double>(bytes);
  for (const char* unit : {"K", "M", "G", "T", "P", "E"}) {
    value /= 1024;
    if (value < 9.995) return fmt::format("{:.2f}{}", value, unit);
    if (value < 99.95) return fmt::format("{:.1f}{}", value, unit);
    if (value < 999.5) return fmt::format("{:.0f}{}", value, unit);
  }
  return "many";
}

std::string Sparkline(const std::vector<uint64_t>& values, size_t columns, bool is_utf8) {
  constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr const char* kAscii[] = {".", ":", "-", "=", "+", "*", "#", "@"};
  const size_t count = std::min(columns, values.size());
  uint64_t most = 0;
  for (size_t i = values.size() - count; i < values.size(); ++i) most = std::max(most, values[i]);
  std::string text;
  for (size_t i = values.size() - count; i < values.size(); ++i) {
    const size_t height =
        most == 0 ? 0
                  : std::min<size_t>(7, static_cast<size_t>(static_cast<double>(values[i]) /
                                                            static_cast<double>(most) * 8));
    text += is_utf8 ? kBars[height] : kAscii[height];
  }
  return text;
}

size_t RowsOnScreen(ScreenSize size) {
  return size.lines > kHeadLines + kFootLines ? size.lines - kHeadLines - kFootLines : 1;
}

size_t LastTaskPage(const TopModel& model, const TopView& view, ScreenSize size) {
  const size_t count = DrawTask(model, view, size.columns).size();
  return count - std::min(count, TaskRoom(size));
}

std::vector<ScreenLine> DrawTop(const TopModel& model, const TopView& view, ScreenSize size) {
  std::vector<ScreenLine> lines = Head(model, view, size);
  const size_t room = RowsOnScreen(size);
  if (view.shows_help) {
    lines.push_back({{Left("KEYS", size.columns), Style::kHeading}});
    for (ScreenLine& line : Help()) lines.push_back(std::move(line));
  } else if (view.shows_task && view.selected) {
    AddTask(DrawTask(model, view, size.columns), view.first_task_line, size, &lines);
  } else {
    const Columns columns = ColumnsFor(model, size.columns);
    lines.push_back(HeadingLine(model, columns));
    const std::vector<TopTask>& rows = model.rows();
    const size_t end =
        view.shows_all_rows ? rows.size() : std::min(rows.size(), view.first_row + room);
    for (size_t i = view.first_row; i < end; ++i) {
      lines.push_back(TaskLine(model, view, rows[i], columns));
    }
  }
  if (view.shows_all_rows) {
    Fit(view, size, &lines);
    return lines;
  }
  lines.resize(kHeadLines + room);
  for (ScreenLine& line : Foot(model, view, size)) lines.push_back(std::move(line));
  if (lines.size() > size.lines) lines.resize(size.lines);
  Fit(view, size, &lines);
  return lines;
}

std::string PlainText(const std::vector<ScreenLine>& lines) {
  std::string text;
  for (const ScreenLine& line : lines) {
    std::string whole;
    for (const Span& span : line) whole += span.text;
    whole.erase(whole.find_last_not_of(' ') + 1);
    text += whole + "\n";
  }
  return text;
}

}  // namespace taskmem
