#include "tools/recording_report/page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tools/base/json_document.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"
#include "tools/recording_report/recording_report.h"

namespace taskmem {
namespace {

using Json = nlohmann::ordered_json;

// What a page can hold and still be quick.
constexpr size_t kMostMoments = 4000;
constexpr size_t kMostValues = 600'000;
constexpr size_t kMostSites = 300'000;
constexpr size_t kMostLooks = 20'000;
constexpr size_t kMostRowsOfACounter = 400;
constexpr size_t kMostRows = 1'000'000;  // of counters, mappings and quotas, of all tasks
constexpr size_t kMostEvents = 5000;
constexpr size_t kMostTasks = 5000;
constexpr size_t kMostFrames = 2'000'000;  // of all stacks
constexpr size_t kMostFrameText = size_t{50} << 20;

// The tasks as the page has them: in their order; where they are many, those that never held much
// are one that stands for them, the last.
class PageTasks {
 public:
  explicit PageTasks(const Recording& recording) {
    for (const RecordedTask& task : recording.tasks) tasks_.push_back(&task);
    if (tasks_.size() > kMostTasks) Fold(recording);
  }

  const std::vector<const RecordedTask*>& tasks() const { return tasks_; }

  // Where the page has a task of the recording.
  std::optional<size_t> PlaceOf(const std::optional<size_t>& task) const {
    return task && !places_.empty() ? places_[*task] : task;
  }
  bool IsFolded(const std::optional<size_t>& task) const {
    return task && !places_.empty() && places_[*task] + 1 == tasks_.size();
  }

 private:
  void Fold(const Recording& recording) {
    std::vector<const RecordedTask*> by_peak = std::move(tasks_);
    const auto others = by_peak.begin() + kMostTasks - 1;
    std::nth_element(
        by_peak.begin(), others, by_peak.end(),
        [](const RecordedTask* a, const RecordedTask* b) { return a->peak_bytes > b->peak_bytes; });
    places_.assign(recording.tasks.size(), kMostTasks - 1);
    tasks_.assign(by_peak.begin(), others);
    std::sort(tasks_.begin(), tasks_.end());  // as they lie in the recording
    for (size_t i = 0; i < tasks_.size(); ++i) {
      places_[static_cast<size_t>(tasks_[i] - recording.tasks.data())] = i;
    }
    by_peak.erase(by_peak.begin(), others);
    others_.name = fmt::format("{} smaller tasks", by_peak.size());
    others_.flags = kTaskIsNone;
    others_.quota.push_back({0, UINT64_MAX});
    others_.charged = TotalOf(by_peak);
    for (const RecordedValue& value : others_.charged) {
      others_.peak_bytes = std::max(others_.peak_bytes, value.value);
    }
    tasks_.push_back(&others_);
  }

  std::vector<const RecordedTask*> tasks_;
  std::vector<size_t> places_;  // by task of the recording; empty: each is in its own
  RecordedTask others_;
};

// When what all tasks held changed, and what it was then; the begin and the end of the recording.
std::vector<RecordedValue> MomentsOf(const Recording& recording) {
  std::vector<RecordedValue> moments = recording.total;
  if (moments.empty() || moments.front().us != 0) moments.insert(moments.begin(), {0, 0});
  if (moments.back().us != recording.end_us) {
    moments.push_back({recording.end_us, moments.back().value});
  }
  return moments;
}

// Of every so many neighbours the one at which most was held; the first and the last.
std::vector<int64_t> Grid(const std::vector<RecordedValue>& moments, size_t most) {
  std::vector<int64_t> grid;
  const size_t step = (moments.size() + most - 1) / most;
  for (size_t i = 0; i < moments.size(); i += step) {
    const auto first = moments.begin() + static_cast<ptrdiff_t>(i);
    const auto end = moments.begin() + static_cast<ptrdiff_t>(std::min(i + step, moments.size()));
    const auto largest = std::max_element(
        first, end,
        [](const RecordedValue& a, const RecordedValue& b) { return a.value < b.value; });
    if (i == 0 && largest != first) grid.push_back(first->us);
    grid.push_back(largest->us);
  }
  if (grid.back() != moments.back().us) grid.push_back(moments.back().us);
  return grid;
}

// [index into the grid, bytes] wherever that changes.
std::vector<std::pair<size_t, uint64_t>> OnGrid(const std::vector<RecordedValue>& values,
                                                const std::vector<int64_t>& grid) {
  std::vector<std::pair<size_t, uint64_t>> rows;
  uint64_t last = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    // The last of those that no moment lies between.
    const auto at = std::lower_bound(grid.begin(), grid.end(), values[i].us);
    if (at == grid.end()) break;
    if (i + 1 < values.size() && values[i + 1].us <= *at) continue;
    if (values[i].value == last) continue;
    last = values[i].value;
    rows.emplace_back(static_cast<size_t>(at - grid.begin()), last);
  }
  return rows;
}

// Those that the page counts in a range.
constexpr Counter kShown[] = {Counter::kRefusals,     Counter::kOverdrafts, Counter::kSpillFreed,
                              Counter::kEvictedBytes, Counter::kOverflow,   Counter::kStallNs};

// How many rows of something a task may have, where all tasks have so many.
size_t RowsOfATask(const PageTasks& tasks) {
  constexpr size_t kKinds = std::size(kShown) + 2;
  return std::min(kMostRowsOfACounter,
                  kMostRows / kKinds / std::max<size_t>(tasks.tasks().size(), 1));
}

// Of many values every so many, and the last.
Json ValuesJson(const std::vector<RecordedValue>& values, size_t most) {
  Json rows = Json::array();
  const size_t step = values.size() / most + 1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % step == 0 || i + 1 == values.size()) {
      rows.push_back({values[i].us, LimitOrNull(values[i].value)});
    }
  }
  return rows;
}

Json CountersJson(const RecordedTask& task, size_t most) {
  Json json = Json::object();
  for (const Counter counter : kShown) {
    std::vector<RecordedValue> values;
    for (const RecordedTask::Change& change : task.changes) {
      if (change.counter == counter) values.push_back({change.us, change.value});
    }
    if (values.empty()) continue;
    json[kCounterKeys[static_cast<size_t>(counter)]] = ValuesJson(values, most);
  }
  return json;
}

Json TaskJson(const RecordedTask& task, const std::vector<std::pair<size_t, uint64_t>>& charged,
              size_t most) {
  Json json;
  json["id"] = task.id ? Json(TaskIdText(*task.id)) : Json(nullptr);
  json["name"] = Printable(task.name);
  json["begin"] = task.begin_us;
  json["end"] = OrNull(task.end_us);
  json["gone"] = OrNull(task.gone_us);
  json["peak"] = task.peak_bytes;
  json["quota"] = ValuesJson(task.quota, most);
  json["charged"] = Json::array();
  for (const auto& [index, bytes] : charged) json["charged"].push_back({index, bytes});
  json["mapped"] = ValuesJson(task.mapped, most);
  json["counters"] = CountersJson(task, most);
  return json;
}

// Fills in "grid" and "tasks".
void AddTasks(const Recording& recording, const PageTasks& tasks, Json* json) {
  const std::vector<RecordedValue> moments = MomentsOf(recording);
  std::vector<int64_t> grid;
  std::vector<std::vector<std::pair<size_t, uint64_t>>> charged;
  for (size_t most = kMostMoments;; most /= 2) {
    grid = Grid(moments, most);
    charged.clear();
    size_t values = 0;
    for (const RecordedTask* task : tasks.tasks()) {
      charged.push_back(OnGrid(task->charged, grid));
      values += charged.back().size();
    }
    if (values <= kMostValues || most < 16) break;
  }
  (*json)["grid"] = grid;
  (*json)["tasks"] = Json::array();
  for (size_t i = 0; i < tasks.tasks().size(); ++i) {
    (*json)["tasks"].push_back(TaskJson(*tasks.tasks()[i], charged[i], RowsOfATask(tasks)));
  }
}

const char* MarkerOf(Counter counter) {
  switch (counter) {
    case Counter::kRefusals: return "refusal";
    case Counter::kSpillFreed: return "spill";
    case Counter::kEvictedBytes: return "eviction";
    case Counter::kOverflow: return "overflow";
    case Counter::kOverdrafts: return "overdraft";
    default: return nullptr;
  }
}

// One of a kind and a task in each two-thousandth part of the time.
class Markers {
 public:
  explicit Markers(int64_t duration_us) : part_us_(duration_us / 2000 + 1) {}

  void Add(int64_t us, const std::string& kind, const std::optional<size_t>& task) {
    constexpr size_t kMost = 20'000;
    if (seen_.size() >= kMost ||
        !seen_.emplace(us / part_us_, kind, task.value_or(SIZE_MAX)).second) {
      return;
    }
    rows_.push_back({us, kind, OrNull(task)});
  }
  Json Take() {
    std::stable_sort(rows_.begin(), rows_.end(),
                     [](const Json& a, const Json& b) { return a[0] < b[0]; });
    return Json(rows_);
  }

 private:
  const int64_t part_us_;
  std::set<std::tuple<int64_t, std::string, size_t>> seen_;
  std::vector<Json> rows_;
};

Json MarkersJson(const Recording& recording, const PageTasks& tasks) {
  Markers markers(recording.end_us);
  std::set<size_t> has_refusals;  // told of by events, whose times are exact
  for (const RecordedEvent& event : recording.events) {
    if (event.kind != EventKind::kRefusal) continue;
    markers.Add(event.us, "refusal", tasks.PlaceOf(event.task));
    if (event.task) has_refusals.insert(*event.task);
  }
  for (size_t i = 0; i < recording.tasks.size(); ++i) {
    for (const RecordedTask::Change& change : recording.tasks[i].changes) {
      const char* const kind = MarkerOf(change.counter);
      if (kind == nullptr || change.value <= change.before) continue;
      if (change.counter == Counter::kRefusals && has_refusals.contains(i)) continue;
      markers.Add(change.us, kind, tasks.PlaceOf(i));
    }
  }
  if (recording.end_signal != 0) markers.Add(recording.end_us, "killed", std::nullopt);
  return markers.Take();
}

Json EventsJson(const Recording& recording, const PageTasks& tasks) {
  Json json = Json::array();
  for (const RecordedEvent& event : recording.events) {
    if (json.size() == kMostEvents) break;
    json.push_back({event.us, EventKindKey(event.kind), OrNull(tasks.PlaceOf(event.task)),
                    event.bytes, event.held, LimitOrNull(event.limit)});
  }
  return json;
}

// The looks with the tasks that the page has.
std::vector<RecordedLook> LooksOf(const Recording& recording, const PageTasks& tasks) {
  std::vector<RecordedLook> looks;
  // Of tasks that are folded: by stack and task, and their sums by stack.
  std::map<std::pair<size_t, size_t>, uint64_t> bytes;
  std::map<size_t, uint64_t> sums;
  for (const RecordedLook& recorded : recording.looks) {
    RecordedLook& look = looks.emplace_back();
    look.us = recorded.us;
    std::map<size_t, std::optional<size_t>> changed;  // stacks, and where their sum is
    for (const RecordedSite& site : recorded.sites) {
      const auto place = tasks.PlaceOf(site.task);
      if (!tasks.IsFolded(site.task)) {
        look.sites.push_back({site.stack, place, site.bytes});
        continue;
      }
      uint64_t& before = bytes[{site.stack, *site.task}];
      sums[site.stack] += site.bytes - before;
      before = site.bytes;
      changed[site.stack] = place;
    }
    for (const auto& [stack, place] : changed) look.sites.push_back({stack, place, sums[stack]});
  }
  return looks;
}

size_t SitesOf(const std::vector<RecordedLook>& looks) {
  size_t count = 0;
  for (const RecordedLook& look : looks) count += look.sites.size();
  return count;
}

// What is told of a stack and a task is told at every look or at none: those that never held much
// are left out, until so few are left.
void LeaveSmallSitesOut(size_t most, std::vector<RecordedLook>* looks) {
  using Key = std::pair<size_t, std::optional<size_t>>;
  struct Size {
    uint64_t peak = 0;
    size_t times = 0;
  };
  std::map<Key, Size> sizes;
  for (const RecordedLook& look : *looks) {
    for (const RecordedSite& site : look.sites) {
      Size& size = sizes[{site.stack, site.task}];
      size.peak = std::max(size.peak, site.bytes);
      ++size.times;
    }
  }
  std::vector<Size> by_peak;
  for (const auto& [key, size] : sizes) by_peak.push_back(size);
  std::sort(by_peak.begin(), by_peak.end(),
            [](const Size& a, const Size& b) { return a.peak > b.peak; });
  uint64_t least = 0;  // what has more stays
  size_t times = 0;
  for (const Size& size : by_peak) {
    times += size.times;
    if (times <= most) continue;
    least = size.peak;
    break;
  }
  for (RecordedLook& look : *looks) {
    std::erase_if(look.sites, [&](const RecordedSite& site) {
      return sizes[{site.stack, site.task}].peak <= least;
    });
  }
}

// Neighbouring looks as one, until they are few enough: the later one counts.
std::vector<RecordedLook> FewLooks(std::vector<RecordedLook> looks) {
  while (looks.size() > 2 && (SitesOf(looks) > kMostSites || looks.size() > kMostLooks)) {
    std::vector<RecordedLook> merged;
    for (size_t i = 0; i < looks.size(); i += 2) {
      if (i + 1 == looks.size()) {
        merged.push_back(std::move(looks[i]));
        break;
      }
      std::map<std::pair<size_t, std::optional<size_t>>, RecordedSite> last;
      for (const RecordedLook* look : {&looks[i], &looks[i + 1]}) {
        for (const RecordedSite& site : look->sites) last[{site.stack, site.task}] = site;
      }
      RecordedLook& look = merged.emplace_back();
      look.us = looks[i + 1].us;
      for (const auto& [key, site] : last) look.sites.push_back(site);
      looks[i] = looks[i + 1] = {};
    }
    looks = std::move(merged);
  }
  return looks;
}

// Functions by number, the stacks that the page has by number, of the outermost first.
class PageStacks {
 public:
  explicit PageStacks(const Recording& recording) : recording_(recording), symbols_(recording) {}

  size_t NumberOf(size_t stack) {
    const auto [found, is_new] = numbers_.try_emplace(stack, stacks_.size());
    if (is_new) stacks_.push_back(FramesOf(recording_.stacks[stack]));
    return found->second;
  }
  Json TakeFrames() { return std::move(frames_); }
  Json TakeStacks() { return std::move(stacks_); }

 private:
  Json FramesOf(const RecordedStack& stack) {
    Json numbers = Json::array();
    for (auto frame = stack.frames.rbegin(); frame != stack.frames.rend(); ++frame) {
      const std::vector<Symbol>* const chain = symbols_.Find(stack, *frame);
      if (chain == nullptr) continue;
      for (auto symbol = chain->rbegin(); symbol != chain->rend(); ++symbol) {
        if (IsPreloadLibrary(symbol->module)) continue;
        // Beyond that a stack ends early.
        if (++all_frames_ > kMostFrames) return numbers;
        numbers.push_back(FrameOf(*symbol));
      }
    }
    return numbers;
  }

  size_t FrameOf(const Symbol& symbol) {
    std::pair key = {Printable(symbol.Text()), Printable(symbol.module)};
    if (text_bytes_ > kMostFrameText) key = {"more functions than are shown", ""};
    const auto [found, is_new] = frame_numbers_.try_emplace(std::move(key), frames_.size());
    if (is_new) {
      text_bytes_ += found->first.first.size() + found->first.second.size();
      frames_.push_back({{"name", found->first.first}, {"module", found->first.second}});
    }
    return found->second;
  }

  const Recording& recording_;
  const RecordedSymbols symbols_;
  std::map<size_t, size_t> numbers_;  // by stack of the recording
  std::map<std::pair<std::string, std::string>, size_t> frame_numbers_;
  size_t all_frames_ = 0;
  size_t text_bytes_ = 0;
  Json frames_ = Json::array();
  Json stacks_ = Json::array();
};

// Fills in "frames", "stacks" and "looks".
void AddSites(const Recording& recording, const PageTasks& tasks, Json* json) {
  PageStacks stacks(recording);
  Json looks = Json::array();
  std::vector<RecordedLook> shown = FewLooks(LooksOf(recording, tasks));
  if (SitesOf(shown) > kMostSites) {
    LeaveSmallSitesOut(kMostSites, &shown);
    (*json)["notes"].push_back("Code that never held much is left out.");
  }
  for (const RecordedLook& look : shown) {
    Json sites = Json::array();
    for (const RecordedSite& site : look.sites) {
      sites.push_back({stacks.NumberOf(site.stack),
                       site.task ? static_cast<int64_t>(*site.task) : -1, site.bytes});
    }
    looks.push_back({{"us", look.us}, {"sites", std::move(sites)}});
  }
  (*json)["frames"] = stacks.TakeFrames();
  (*json)["stacks"] = stacks.TakeStacks();
  (*json)["looks"] = std::move(looks);
}

Json ClassesJson(const Recording& recording) {
  Json names = Json::array();
  for (size_t i = 0; i < kLedgerClasses; ++i) {
    names.push_back(LedgerClassName(static_cast<LedgerClass>(i)));
  }
  Json rows = Json::array();
  const size_t step = recording.classes.size() / kMostMoments + 1;
  for (size_t i = 0; i < recording.classes.size(); i += step) {
    Json row = {recording.classes[i].us};
    for (const uint64_t bytes : recording.classes[i].bytes) row.push_back(bytes);
    rows.push_back(std::move(row));
  }
  return {{"names", names}, {"rows", rows}};
}

Json NotesJson(const Recording& recording) {
  Json notes = Json::array();
  if (!recording.damage.empty()) {
    notes.push_back("The recording is not whole: " + recording.damage + ".");
  }
  if (recording.executions != 0) {
    notes.push_back(
        fmt::format("The process executed {} more programs; the last gives it its name.",
                    recording.executions));
  }
  if (recording.dropped_events != 0) {
    notes.push_back(
        fmt::format("{} events were not recorded, for want of room.", recording.dropped_events));
  }
  if (!recording.has_events) {
    notes.push_back(
        "The process's events could not be recorded: only what looks at its books saw.");
  }
  if (recording.tasks.size() > kMostTasks) {
    notes.push_back(fmt::format("Of {} tasks those that never held much are shown as one.",
                                recording.tasks.size()));
  }
  if (recording.events.size() > kMostEvents) {
    notes.push_back(
        fmt::format("Of {} events the first {} are listed.", recording.events.size(), kMostEvents));
  }
  return notes;
}

}  // namespace

nlohmann::ordered_json PageData(const Recording& recording) {
  const PageTasks tasks(recording);
  Json json;
  json["title"] = Printable(recording.title);
  json["program"] = Printable(recording.program);
  json["pid"] = recording.pid;
  json["duration_us"] = recording.end_us;
  json["began_unix_ms"] = std::min<uint64_t>(recording.unix_ns / 1'000'000, 8'640'000'000'000'000);
  json["end"] = EndText(recording);
  json["version"] = Printable(recording.version);
  json["notes"] = NotesJson(recording);
  json["peak_us"] = recording.peak_us;
  AddTasks(recording, tasks, &json);
  json["resident"] = Json::array();
  const size_t step = recording.process.size() / kMostMoments + 1;
  for (size_t i = 0; i < recording.process.size(); i += step) {
    json["resident"].push_back({recording.process[i].us, recording.process[i].resident});
  }
  std::vector<RecordedValue> memory;
  for (const RecordedPools& pools : recording.pools) {
    const uint64_t bytes = pools.memory_bytes.value_or(UINT64_MAX);
    if (memory.empty() || memory.back().value != bytes) memory.push_back({pools.us, bytes});
  }
  json["memory"] = ValuesJson(memory, kMostMoments);
  json["memory_is_set"] = recording.settings.contains("memory");
  json["classes"] = ClassesJson(recording);
  AddSites(recording, tasks, &json);
  json["events"] = EventsJson(recording, tasks);
  json["markers"] = MarkersJson(recording, tasks);
  return json;
}

}  // namespace taskmem
