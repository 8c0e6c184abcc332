#include "tools/top/top_model.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <utility>

#include "tools/base/task_id.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

constexpr uint64_t kNoId = UINT64_MAX;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// A second; 0 where it fell, or nothing came before.
double Rate(uint64_t before, uint64_t now, double seconds) {
  return seconds > 0 && now > before ? static_cast<double>(now - before) / seconds : 0;
}

uint64_t SpilledBytes(const ReclaimStats& reclaim) {
  return reclaim.spill_freed_bytes + reclaim.soft_spill_freed_bytes + reclaim.evicted_bytes;
}

TaskKey KeyOf(const ProcessStats& process, const TaskStats& task) {
  TaskKey key{process.pid, process.start_time, task.id.value_or(kNoId), ""};
  if (!task.id) key.name = task.name;
  return key;
}

// -1, 0 or 1.
template <typename T>
int Compare(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// Less than 0: `a` comes first.
int CompareBy(TopColumn column, const TopTask& a, const TopTask& b) {
  switch (column) {
    case TopColumn::kPid: return Compare(a.key.pid, b.key.pid);
    case TopColumn::kTask: return Compare(a.key.id, b.key.id);
    case TopColumn::kName: return Compare(a.name, b.name);
    case TopColumn::kHeld: return Compare(b.stats.charged_bytes, a.stats.charged_bytes);
    case TopColumn::kShare: return Compare(b.share, a.share);
    case TopColumn::kPeak: return Compare(b.stats.peak_charged_bytes, a.stats.peak_charged_bytes);
    case TopColumn::kGrowth: return Compare(b.growth, a.growth);
    case TopColumn::kRefused: return Compare(b.stats.refusals, a.stats.refusals);
    case TopColumn::kSpilled: return Compare(b.spilled_bytes, a.spilled_bytes);
    case TopColumn::kOverflow:
      return Compare(b.stats.reclaim.overflow_bytes, a.stats.reclaim.overflow_bytes);
    case TopColumn::kStalled: return Compare(b.stats.reclaim.stall_ns, a.stats.reclaim.stall_ns);
  }
  return 0;
}

}  // namespace

void TopModel::AddProcess(ProcessStats process, double seconds,
                          std::map<std::pair<pid_t, uint64_t>, Before>* sums) {
  const std::pair identity(process.pid, process.start_time);
  Before now{.charged_bytes = process.charged_bytes, .refusals = process.refusals};
  TopProcess shown;
  TaskStats untracked;
  untracked.name = "untracked";
  untracked.charged_bytes = process.untracked_bytes;
  untracked.peak_charged_bytes = process.peak_untracked_bytes;
  std::vector<TaskStats> tasks = std::move(process.tasks);
  tasks.push_back(std::move(untracked));
  for (TaskStats& stats : tasks) {
    TopTask task;
    task.key = KeyOf(process, stats);
    task.name = Printable(stats.name);
    task.spilled_bytes = SpilledBytes(stats.reclaim);
    if (stats.quota_bytes && *stats.quota_bytes != 0) {
      task.share =
          static_cast<double>(stats.charged_bytes) / static_cast<double>(*stats.quota_bytes);
    }
    now.spilled_bytes += task.spilled_bytes;
    now.overflow_bytes += stats.reclaim.pushed_out_bytes + stats.reclaim.returned_bytes;
    now.stall_ns += stats.reclaim.stall_ns;
    if (stats.id) ++shown.tasks;
    if (stats.id && !stats.has_ended) ++shown.live_tasks;
    const auto history = history_.find(task.key);
    if (seconds > 0 && history != history_.end() && !history->second.empty()) {
      task.growth =
          (static_cast<double>(stats.charged_bytes) - static_cast<double>(history->second.back())) /
          seconds;
    }
    task.stats = std::move(stats);
    tasks_.push_back(std::move(task));
  }
  if (const auto before = sums_.find(identity); before != sums_.end() && seconds > 0) {
    const Before& then = before->second;
    shown.rates.charged =
        (static_cast<double>(now.charged_bytes) - static_cast<double>(then.charged_bytes)) /
        seconds;
    shown.rates.spilled = Rate(then.spilled_bytes, now.spilled_bytes, seconds);
    shown.rates.overflow = Rate(then.overflow_bytes, now.overflow_bytes, seconds);
    shown.rates.refusals = Rate(then.refusals, now.refusals, seconds);
    shown.rates.stalled = Rate(then.stall_ns, now.stall_ns, seconds) / 1e9;
  }
  (*sums)[identity] = now;
  shown.stats = std::move(process);
  processes_.push_back(std::move(shown));
}

void TopModel::Update(std::vector<ProcessStats> processes, uint64_t time_ns) {
  const double seconds =
      time_ns_ != 0 && time_ns > time_ns_ ? static_cast<double>(time_ns - time_ns_) / 1e9 : 0;
  time_ns_ = time_ns;
  processes_.clear();
  tasks_.clear();
  std::map<std::pair<pid_t, uint64_t>, Before> sums;
  for (ProcessStats& process : processes) AddProcess(std::move(process), seconds, &sums);
  sums_ = std::move(sums);
  std::map<TaskKey, std::deque<uint64_t>> history;
  for (const TopTask& task : tasks_) {
    std::deque<uint64_t>& looks = history[task.key];
    if (const auto before = history_.find(task.key); before != history_.end()) {
      if (looks.empty()) looks = std::move(before->second);
    }
    looks.push_back(task.stats.charged_bytes);
    if (looks.size() > kHistory) looks.pop_front();
  }
  history_ = std::move(history);
  Arrange();
}

bool TopModel::Passes(const TopTask& task) const {
  if (filter_.empty()) return true;
  const std::string id = task.stats.id ? TaskIdText(*task.stats.id) : "";
  if (Lower(task.name).find(filter_) != std::string::npos || id.starts_with(filter_)) return true;
  const TopProcess* const process = Find(task.key);
  if (process == nullptr) return false;
  return Lower(process->stats.title).find(filter_) != std::string::npos ||
         Lower(std::filesystem::path(process->stats.program).filename()).find(filter_) !=
             std::string::npos;
}

void TopModel::Arrange() {
  rows_.clear();
  std::copy_if(tasks_.begin(), tasks_.end(), std::back_inserter(rows_),
               [&](const TopTask& task) { return Passes(task); });
  std::sort(rows_.begin(), rows_.end(), [&](const TopTask& a, const TopTask& b) {
    const int order = CompareBy(sort_, a, b);
    if (order != 0) return is_reversed_ ? order > 0 : order < 0;
    return a.key < b.key;
  });
}

const TopProcess* TopModel::Find(const TaskKey& key) const {
  for (const TopProcess& process : processes_) {
    if (process.stats.pid == key.pid && process.stats.start_time == key.start_time) return &process;
  }
  return nullptr;
}

const TopTask* TopModel::FindTask(const TaskKey& key) const {
  const auto found = std::find_if(tasks_.begin(), tasks_.end(),
                                  [&](const TopTask& task) { return task.key == key; });
  return found != tasks_.end() ? &*found : nullptr;
}

std::vector<uint64_t> TopModel::History(const TaskKey& key) const {
  const auto found = history_.find(key);
  if (found == history_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

void TopModel::SortBy(TopColumn column) {
  sort_ = column;
  Arrange();
}

void TopModel::Reverse() {
  is_reversed_ = !is_reversed_;
  Arrange();
}

void TopModel::Filter(const std::string& text) {
  filter_ = Lower(text);
  Arrange();
}

}  // namespace taskmem
