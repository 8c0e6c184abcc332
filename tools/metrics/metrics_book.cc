#include "tools/metrics/metrics_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "shim/base/version.h"
#include "tools/stats/report.h"

namespace taskmem {
namespace {

constexpr double kNs = 1e9;
constexpr char kOther[] = "other";

std::string ProgramOf(const ProcessStats& process) {
  return std::filesystem::path(process.program).filename().string();
}

Labels LabelsOf(const ProcessStats& process) {
  return {{"pid", fmt::to_string(process.pid)},
          {"program", ProgramOf(process)},
          {"label", process.label}};
}

Labels With(Labels labels, const char* name, const std::string& value) {
  labels.emplace_back(name, value);
  return labels;
}

}  // namespace

void MetricsBook::Counters::AddGrowth(const Counters& before, const Counters& now) {
  const auto add = [&](uint64_t Counters::*counter) {
    const uint64_t was = before.*counter;
    const uint64_t is = now.*counter;
    this->*counter += is >= was ? is - was : is;
  };
  add(&Counters::refusals);
  add(&Counters::overdrafts);
  add(&Counters::spilled_bytes);
  add(&Counters::evicted_bytes);
  add(&Counters::pushed_out_bytes);
  add(&Counters::returned_bytes);
  add(&Counters::stalls);
  add(&Counters::stall_ns);
  add(&Counters::wait_ns);
}

MetricsBook::Counters MetricsBook::CountersOf(const TaskStats& task) {
  const ReclaimStats& reclaim = task.reclaim;
  return {.refusals = task.refusals,
          .overdrafts = task.overdrafts,
          .spilled_bytes = reclaim.spill_freed_bytes + reclaim.soft_spill_freed_bytes,
          .evicted_bytes = reclaim.evicted_bytes,
          .pushed_out_bytes = reclaim.pushed_out_bytes,
          .returned_bytes = reclaim.returned_bytes,
          .stalls = reclaim.stalls,
          .stall_ns = reclaim.stall_ns,
          .wait_ns = reclaim.wait_ns};
}

// By what is shown of it: names that are shown alike are one, or there would be a series twice.
MetricsBook::Series& MetricsBook::SeriesOf(const std::string& program, const std::string& task) {
  const Name name(ShownLabel(program), ShownLabel(task));
  if (name == Name(kOther, kOther)) return other_;
  const auto found = names_.find(name);
  if (found != names_.end()) return found->second;
  return names_.size() < most_names_ ? names_[name] : other_;
}

void MetricsBook::ForgetIdle() {
  for (auto at = names_.begin(); at != names_.end();) {
    if (time_ns_ - at->second.seen_ns < kForgetAfterNs) {
      ++at;
      continue;
    }
    other_.counters.Add(at->second.counters);
    at = names_.erase(at);
  }
}

void MetricsBook::Update(std::vector<ProcessStats> processes, uint64_t time_ns) {
  time_ns_ = time_ns;
  ForgetIdle();
  for (auto& [name, series] : names_) series.now = {};
  other_.now = {};
  struct Entry {
    const ProcessStats* process;
    const TaskStats* task;
  };
  std::vector<Entry> entries;
  for (const ProcessStats& process : processes) {
    for (const TaskStats& task : process.tasks) entries.push_back({&process, &task});
  }
  // Who holds most has a name first.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.task->charged_bytes > b.task->charged_bytes;
  });
  std::map<Key, Counters> seen;
  for (const auto& [process, task] : entries) {
    const Counters now = CountersOf(*task);
    const Key key(process->pid, process->start_time, task->id.value_or(UINT64_MAX), task->name);
    // What ended tasks counted goes on under "ended tasks" when they are folded: no growth of
    // those.
    if (task->id) {
      Series& series = SeriesOf(ProgramOf(*process), task->name);
      const auto before = last_.find(key);
      series.counters.AddGrowth(before != last_.end() ? before->second : Counters{}, now);
      series.seen_ns = time_ns;
      Gauges& gauges = series.now;
      if (!task->has_ended) ++gauges.live;
      gauges.charged_bytes += task->charged_bytes;
      gauges.retained_bytes += task->retained_bytes;
      gauges.largest_bytes = std::max(gauges.largest_bytes, task->peak_charged_bytes);
      gauges.overflow_bytes += task->reclaim.overflow_bytes;
      if (task->quota_bytes && *task->quota_bytes != 0) {
        gauges.share = std::max(gauges.share, static_cast<double>(task->charged_bytes) /
                                                  static_cast<double>(*task->quota_bytes));
      }
    } else {
      Gauges& gauges = other_.now;
      gauges.charged_bytes += task->charged_bytes;
      gauges.retained_bytes += task->retained_bytes;
    }
    seen[key] = now;
  }
  last_ = std::move(seen);
  processes_ = std::move(processes);
}

void MetricsBook::AddProcesses(MetricsText* text) const {
  const size_t count = std::min(processes_.size(), kMostProcesses);
  const auto gauge = [&](const char* name, const char* unit, const char* help, auto value) {
    text->BeginGauge(name, unit, help);
    for (size_t i = 0; i < count; ++i) text->Add(LabelsOf(processes_[i]), value(processes_[i]));
  };
  // Over all books of a process, those of ended tasks included: they only grow.
  std::vector<Counters> sums(count);
  for (size_t i = 0; i < count; ++i) {
    for (const TaskStats& task : processes_[i].tasks) sums[i].Add(CountersOf(task));
  }
  const auto counter = [&](const char* name, const char* unit, const char* help, auto value) {
    text->BeginCounter(name, unit, help);
    for (size_t i = 0; i < count; ++i) text->Add(LabelsOf(processes_[i]), value(sums[i]));
  };
  text->BeginGauge("taskmem_processes", "", "Processes under taskmem.");
  text->Add({}, uint64_t{processes_.size()});
  text->BeginGauge("taskmem_processes_without_series", "", "Processes beyond those listed.");
  text->Add({}, uint64_t{processes_.size() - count});
  gauge("taskmem_process_resident_bytes", "bytes", "In memory, as the kernel counts.",
        [](const ProcessStats& process) { return process.resident_bytes; });
  gauge("taskmem_process_charged_bytes", "bytes", "Charged to tasks and to none.",
        [](const ProcessStats& process) { return process.charged_bytes; });
  gauge("taskmem_process_peak_charged_bytes", "bytes", "The most that was charged.",
        [](const ProcessStats& process) { return process.peak_charged_bytes; });
  gauge("taskmem_process_untracked_bytes", "bytes", "Charged to no task.",
        [](const ProcessStats& process) { return process.untracked_bytes; });
  gauge("taskmem_process_tasks", "", "Tasks that are live, or ended and listed.",
        [](const ProcessStats& process) { return uint64_t{CountTasks(process)}; });
  counter("taskmem_process_refusals", "", "Requests that failed because of a limit.",
          [](const Counters& sum) { return sum.refusals; });
  counter("taskmem_process_overdrafts", "", "Charges that policy let through above a quota.",
          [](const Counters& sum) { return sum.overdrafts; });
  counter("taskmem_process_spilled_bytes", "bytes", "Freed by spill hooks.",
          [](const Counters& sum) { return sum.spilled_bytes; });
  counter("taskmem_process_evicted_bytes", "bytes", "Of cached blocks evicted for tasks.",
          [](const Counters& sum) { return sum.evicted_bytes; });
  counter("taskmem_process_overflow_out_bytes", "bytes", "Pushed out to the overflow file.",
          [](const Counters& sum) { return sum.pushed_out_bytes; });
  counter("taskmem_process_overflow_back_bytes", "bytes", "Come back from the overflow file.",
          [](const Counters& sum) { return sum.returned_bytes; });
  counter("taskmem_process_stalls", "", "Allocations that had room made for them.",
          [](const Counters& sum) { return sum.stalls; });
  counter("taskmem_process_stalled_seconds", "seconds", "How long those took.",
          [](const Counters& sum) { return static_cast<double>(sum.stall_ns) / kNs; });
  counter("taskmem_process_waited_seconds", "seconds", "Waits for memory of the pools.",
          [](const Counters& sum) { return static_cast<double>(sum.wait_ns) / kNs; });
}

void MetricsBook::AddPools(MetricsText* text) const {
  const size_t count = std::min(processes_.size(), kMostProcesses);
  text->BeginGauge("taskmem_memory_bytes", "bytes", "What all tasks may have together.");
  for (size_t i = 0; i < count; ++i) {
    const PoolUsage& pools = processes_[i].pools;
    if (pools.memory_bytes) text->Add(LabelsOf(processes_[i]), *pools.memory_bytes);
  }
  text->BeginGauge("taskmem_pool_size_bytes", "bytes", "Of the two pools; the boundary moves.");
  for (size_t i = 0; i < count; ++i) {
    const PoolUsage& pools = processes_[i].pools;
    const Labels labels = LabelsOf(processes_[i]);
    if (!pools.memory_bytes) continue;
    text->Add(With(labels, "pool", "execution"), pools.execution_size_bytes);
    text->Add(With(labels, "pool", "storage"), pools.storage_size_bytes);
  }
  text->BeginGauge("taskmem_pool_used_bytes", "bytes", "Where the memory has gone.");
  for (size_t i = 0; i < count; ++i) {
    const PoolUsage& pools = processes_[i].pools;
    const Labels labels = LabelsOf(processes_[i]);
    text->Add(With(labels, "pool", "execution"), pools.execution_used_bytes);
    text->Add(With(labels, "pool", "storage"), pools.storage_used_bytes);
    text->Add(With(labels, "pool", "unmanaged"), pools.unmanaged_bytes);
    text->Add(With(labels, "pool", "overdrawn"), pools.overdrawn_bytes);
  }
}

void MetricsBook::AddNames(MetricsText* text) const {
  const auto each = [&](auto value) {
    for (const auto& [name, series] : names_) {
      text->Add({{"program", name.first}, {"task", name.second}}, value(series));
    }
    text->Add({{"program", kOther}, {"task", kOther}}, value(other_));
  };
  const auto gauge = [&](const char* name, const char* unit, const char* help, auto value) {
    text->BeginGauge(name, unit, help);
    each(value);
  };
  const auto counter = [&](const char* name, const char* unit, const char* help, auto value) {
    text->BeginCounter(name, unit, help);
    each(value);
  };
  gauge("taskmem_task_live", "", "Live tasks of this name.",
        [](const Series& series) { return series.now.live; });
  gauge("taskmem_task_charged_bytes", "bytes", "Charged to tasks of this name.",
        [](const Series& series) { return series.now.charged_bytes; });
  gauge("taskmem_task_retained_bytes", "bytes", "Of that, left behind by ended tasks.",
        [](const Series& series) { return series.now.retained_bytes; });
  gauge("taskmem_task_largest_peak_bytes", "bytes", "The largest peak of a task of this name.",
        [](const Series& series) { return series.now.largest_bytes; });
  gauge("taskmem_task_quota_ratio", "ratio", "The largest part of a quota that is used.",
        [](const Series& series) { return series.now.share; });
  gauge("taskmem_task_overflow_bytes", "bytes", "In the overflow file.",
        [](const Series& series) { return series.now.overflow_bytes; });
  counter("taskmem_task_refusals", "", "Requests that failed because of a limit.",
          [](const Series& series) { return series.counters.refusals; });
  counter("taskmem_task_overdrafts", "", "Charges that policy let through above a quota.",
          [](const Series& series) { return series.counters.overdrafts; });
  counter("taskmem_task_spilled_bytes", "bytes", "Freed by spill hooks, and evicted blocks.",
          [](const Series& series) {
            return series.counters.spilled_bytes + series.counters.evicted_bytes;
          });
  counter("taskmem_task_stalled_seconds", "seconds", "How long allocations had to wait for room.",
          [](const Series& series) { return static_cast<double>(series.counters.stall_ns) / kNs; });
}

std::string MetricsBook::Text(MetricsFormat format) const {
  MetricsText text(format);
  text.BeginGauge("taskmem_build_info", "", "The version of the exporter.");
  text.Add({{"version", kVersion}}, uint64_t{1});
  AddProcesses(&text);
  AddPools(&text);
  AddNames(&text);
  return text.Take();
}

}  // namespace taskmem
