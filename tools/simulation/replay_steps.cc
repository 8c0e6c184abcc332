#include "tools/simulation/replay_steps.h"

#include <algorithm>

namespace taskmem {
namespace {

using Kind = ReplayStep::Kind;

void AddTask(const RecordedTask& task, size_t index, std::vector<ReplayStep>* steps) {
  const auto add = [&](int64_t us, Kind kind, uint64_t value) {
    steps->push_back({us, value, 0, static_cast<uint32_t>(index), kind, false});
  };
  add(task.begin_us, Kind::kBegin, task.quota.front().value);
  for (size_t i = 1; i < task.quota.size(); ++i) {
    add(task.quota[i].us, Kind::kQuota, task.quota[i].value);
  }
  // A peak between two looks: higher than what was seen at either.
  uint64_t seen = 0;
  auto change = task.changes.begin();
  for (const RecordedValue& value : task.charged) {
    for (; change != task.changes.end() && change->us <= value.us; ++change) {
      if (change->counter == Counter::kPeak && change->value > std::max(seen, value.value)) {
        add(value.us, Kind::kPeak, change->value);
        seen = change->value;
      }
    }
    add(value.us, Kind::kCharge, value.value);
    seen = std::max(seen, value.value);
  }
  for (; change != task.changes.end(); ++change) {
    if (change->counter != Counter::kPeak || change->value <= seen) continue;
    add(change->us, Kind::kPeak, change->value);
    seen = change->value;
  }
  if (task.end_us) add(*task.end_us, Kind::kEnd, 0);
  if (task.gone_us) add(*task.gone_us, Kind::kGone, 0);
}

}  // namespace

std::vector<ReplayStep> StepsOf(const Recording& recording) {
  std::vector<ReplayStep> steps;
  size_t most = recording.events.size() + recording.pools.size();
  for (const RecordedTask& task : recording.tasks) {
    const auto peaks = std::count_if(
        task.changes.begin(), task.changes.end(),
        [](const RecordedTask::Change& change) { return change.counter == Counter::kPeak; });
    most += task.quota.size() + task.charged.size() + static_cast<size_t>(peaks) + 2;
  }
  steps.reserve(most);
  for (size_t i = 0; i < recording.tasks.size(); ++i) AddTask(recording.tasks[i], i, &steps);
  for (const RecordedEvent& event : recording.events) {
    if (event.kind != EventKind::kRefusal || !event.task) continue;
    steps.push_back({event.us, event.bytes, event.held, static_cast<uint32_t>(*event.task),
                     Kind::kRefused, (event.flags & kEventByQuota) != 0});
  }
  uint64_t slack = 0;
  for (const RecordedPools& pools : recording.pools) {
    if (pools.slack == slack) continue;
    slack = pools.slack;
    steps.push_back({pools.us, slack, 0, 0, Kind::kSlack, false});
  }
  const std::vector<int64_t>& times = recording.times;
  const auto place = [&times](const ReplayStep& step) {
    if (step.kind != Kind::kRefused || step.by_quota) return step.us;
    const auto look = std::lower_bound(times.begin(), times.end(), step.us);
    return look != times.end() ? *look : step.us;
  };
  // What one source says of a moment stays in its order; refusals come after the charges.
  std::stable_sort(steps.begin(), steps.end(), [&](const ReplayStep& a, const ReplayStep& b) {
    const int64_t a_us = place(a);
    const int64_t b_us = place(b);
    return a_us != b_us ? a_us < b_us : (a.kind == Kind::kRefused) < (b.kind == Kind::kRefused);
  });
  return steps;
}

}  // namespace taskmem
