#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tools/base/task_id.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/recording_report/recording_report.h"

namespace taskmem {

std::string TimeText(int64_t us) { return fmt::format("{:.3f} s", static_cast<double>(us) / 1e6); }

std::string EndText(const Recording& recording) {
  if (!recording.damage.empty()) return recording.damage;
  switch (recording.end) {
    case EndReason::kEnded:
      return recording.end_signal == 0
                 ? "the process ended"
                 : fmt::format("the process was killed (signal {})", recording.end_signal);
    case EndReason::kStopped: return "the recorder was stopped";
    default: return "the recorder was killed, or still records";
  }
}

std::string RecordedTaskText(const RecordedTask& task) {
  const std::string name = Printable(task.name, 47);
  if (!task.id) return name.empty() ? "untracked" : name;
  return name.empty() ? TaskIdText(*task.id) : fmt::format("{} ({})", TaskIdText(*task.id), name);
}

namespace {

constexpr size_t kMostRows = 40;
constexpr size_t kMostSites = 10;

std::string QuotaText(const RecordedTask& task) {
  const uint64_t quota = task.quota.back().value;
  return quota == UINT64_MAX ? "-" : HumanBytes(quota);
}

std::string FormatTasks(const Recording& recording, int64_t peak_us, size_t columns) {
  const std::vector<Column> headings = {{"task"},
                                        {"name", Align::kLeft, false, true},
                                        {"begin"},
                                        {"end", Align::kRight, true},
                                        {"peak"},
                                        {"at peak"},
                                        {"at end"},
                                        {"mapped", Align::kRight, true},
                                        {"quota", Align::kRight, true},
                                        {"refused", Align::kRight, true},
                                        {"spilled", Align::kRight, true},
                                        {"evicted", Align::kRight, true},
                                        {"overflow", Align::kRight, true}};
  const RecordedLook* const look = LookNear(recording, peak_us);
  const int64_t look_us = look != nullptr ? look->us : 0;
  std::vector<const RecordedTask*> tasks;
  for (const RecordedTask& task : recording.tasks) tasks.push_back(&task);
  std::stable_sort(tasks.begin(), tasks.end(), [](const RecordedTask* a, const RecordedTask* b) {
    return a->peak_bytes > b->peak_bytes;
  });
  std::vector<std::vector<std::string>> rows;
  for (const RecordedTask* task : tasks) {
    if (rows.size() == kMostRows) break;
    rows.push_back({task->id ? TaskIdText(*task->id) : "-",
                    Printable(task->id || !task->name.empty() ? task->name : "untracked"),
                    TimeText(task->begin_us), task->end_us ? TimeText(*task->end_us) : "-",
                    HumanBytes(task->peak_bytes), HumanBytes(ValueAt(task->charged, peak_us)),
                    HumanBytes(ValueAt(task->charged, recording.end_us)),
                    BytesOrDash(ValueAt(task->mapped, look_us)), QuotaText(*task),
                    CountOrDash(task->Get(Counter::kRefusals)),
                    BytesOrDash(task->Get(Counter::kSpillFreed)),
                    BytesOrDash(task->Get(Counter::kEvictedBytes)),
                    BytesOrDash(task->Get(Counter::kPeakOverflow))});
  }
  std::string text = FormatTable(headings, rows, columns);
  if (tasks.size() > rows.size()) {
    text += fmt::format("  and {} more tasks, of at most {} each\n", tasks.size() - rows.size(),
                        HumanBytes(tasks[rows.size()]->peak_bytes));
  }
  return text;
}

std::string FormatRefusals(const Recording& recording, size_t columns) {
  std::string text;
  size_t refusals = 0;
  for (const RecordedEvent& event : recording.events) {
    if (event.kind != EventKind::kRefusal || ++refusals > kMostSites) continue;
    text += ReportLine(
        fmt::format(
            "  {} {} was refused {}: held {} of {}", TimeText(event.us),
            event.task ? RecordedTaskText(recording.tasks[*event.task]) : "a task",
            HumanBytes(event.bytes), HumanBytes(event.held),
            event.limit == UINT64_MAX
                ? "--memory"
                : fmt::format("{} {}",
                              (event.flags & kEventByQuota) != 0 ? "its quota of" : "--memory",
                              HumanBytes(event.limit))),
        columns);
  }
  if (refusals > kMostSites) {
    text += fmt::format("  and {} more refusals\n", refusals - kMostSites);
  }
  return text.empty() ? text : "refusals:\n" + text;
}

std::string FormatSites(const Recording& recording, int64_t us, size_t columns) {
  const RecordedLook* const look = LookNear(recording, us);
  if (look == nullptr) return "";
  std::vector<RecordedSite> live = LiveSites(recording, us);
  if (live.empty()) return "";
  if (live.size() > kMostSites) live.resize(kMostSites);
  const SitesAsAudit named = AsAudit(recording, RecordedSymbols(recording), live);
  std::string text = fmt::format("sites at {}:\n", TimeText(look->us));
  for (size_t i = 0; i < named.sites.size(); ++i) {
    const NamedSite& site = named.sites[i];
    const auto& task = live[i].task;
    text += ReportLine(fmt::format("  {:>10}  {}", HumanBytes(site.bytes),
                                   task ? RecordedTaskText(recording.tasks[*task]) : "untracked"),
                       columns);
    for (const NamedFrame& frame : site.frames) {
      text += ReportLine("              " + Printable(frame.symbol.Text()), columns);
    }
  }
  return text;
}

}  // namespace

std::string FormatRecording(const Recording& recording, size_t columns) {
  const int64_t peak_us = recording.peak_us;
  std::string text = ReportLine(
      fmt::format("taskmem: recording of {}, pid {}, {}; {}", Printable(recording.Name()),
                  recording.pid, TimeText(recording.end_us), EndText(recording)),
      columns);
  text += ReportLine(
      fmt::format("  peak {} at {}, at the end {}", HumanBytes(ValueAt(recording.total, peak_us)),
                  TimeText(peak_us), HumanBytes(ValueAt(recording.total, recording.end_us))),
      columns);
  if (recording.executions != 0) {
    text += fmt::format("  the process executed {} more programs\n", recording.executions);
  }
  if (recording.dropped_events != 0) {
    text +=
        fmt::format("  {} events were not recorded, for want of room\n", recording.dropped_events);
  }
  text += FormatTasks(recording, peak_us, columns);
  text += FormatRefusals(recording, columns);
  return text + FormatSites(recording, peak_us, columns);
}

}  // namespace taskmem
