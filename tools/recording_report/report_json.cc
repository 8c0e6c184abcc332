#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/base/json_document.h"
#include "tools/recording_report/recording_report.h"

namespace taskmem {

const char* EventKindKey(EventKind kind) {
  switch (kind) {
    case EventKind::kTaskBegin: return "task_begin";
    case EventKind::kTaskEnd: return "task_end";
    case EventKind::kRefusal: return "refusal";
    case EventKind::kSpill: return "spill";
    case EventKind::kWait: return "wait";
    case EventKind::kStall: return "stall";
  }
  return "unknown";
}

namespace {

using Json = nlohmann::ordered_json;

// [[time, value], ...]
std::string ValuesText(const std::vector<RecordedValue>& values) {
  std::string text = "[";
  for (const RecordedValue& value : values) {
    text += fmt::format("{}[{},{}]", text.size() == 1 ? "" : ",", value.us,
                        value.value == UINT64_MAX ? "null" : fmt::to_string(value.value));
  }
  return text + ']';
}

std::string Text(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string TaskText(const RecordedTask& task) {
  Json json;
  json["task_id"] = OrNull(task.id);
  json["name"] = task.name;
  json["begin_us"] = task.begin_us;
  json["end_us"] = OrNull(task.end_us);
  json["peak_charged_bytes"] = task.peak_bytes;
  Json counters = Json::object();
  for (size_t i = 0; i < kCounters; ++i) {
    if (task.counters[i] != 0) counters[kCounterKeys[i]] = task.counters[i];
  }
  json["counters"] = counters;
  std::string text = Text(json);
  text.pop_back();
  return text + ",\"quota_bytes\":" + ValuesText(task.quota) +
         ",\"charged_bytes\":" + ValuesText(task.charged) +
         ",\"mapped_bytes\":" + ValuesText(task.mapped) + '}';
}

Json EventJson(const RecordedEvent& event) {
  Json json;
  json["time_us"] = event.us;
  json["kind"] = EventKindKey(event.kind);
  json["task"] = OrNull(event.task);
  json["bytes"] = event.bytes;
  json["held_bytes"] = event.held;
  if (event.kind == EventKind::kRefusal) {
    json["limit_bytes"] = LimitOrNull(event.limit);
    json["by_quota"] = (event.flags & kEventByQuota) != 0;
  } else if (event.kind == EventKind::kWait || event.kind == EventKind::kStall) {
    json["duration_ns"] = event.limit;
  }
  return json;
}

// What lived at the peak.
Json SitesJson(const Recording& recording) {
  Json json = Json::array();
  const std::vector<RecordedSite> live = LiveSites(recording, recording.peak_us);
  const SitesAsAudit named = AsAudit(recording, SymbolsOf(recording), live);
  for (size_t i = 0; i < live.size(); ++i) {
    Json frames = Json::array();
    for (const NamedFrame& frame : named.sites[i].frames) frames.push_back(frame.symbol.Text());
    json.push_back({{"bytes", live[i].bytes}, {"task", OrNull(live[i].task)}, {"frames", frames}});
  }
  return json;
}

std::string PoolsText(const RecordedPools& pools) {
  return Text({{"time_us", pools.us},
               {"memory_bytes", OrNull(pools.memory_bytes)},
               {"execution_used_bytes", pools.execution_used},
               {"storage_used_bytes", pools.storage_used},
               {"overdrawn_bytes", pools.overdrawn},
               {"slack_bytes", pools.slack},
               {"active_tasks", pools.active_tasks}});
}

std::string ProcessText(const RecordedProcess& process) {
  return Text({{"time_us", process.us},
               {"resident_bytes", process.resident},
               {"charged_bytes", process.charged}});
}

std::string ClassesText(const RecordedClasses& classes) {
  Json row;
  row["time_us"] = classes.us;
  for (size_t i = 0; i < kLedgerClasses; ++i) {
    row[LedgerClassKey(static_cast<LedgerClass>(i))] = classes.bytes[i];
  }
  return Text(row);
}

// A line for each, after the members before it.
template <typename T, typename Format>
void AddList(const char* key, const std::vector<T>& list, Format format, std::string* text) {
  *text += fmt::format(",\n\"{}\":[", key);
  for (const T& value : list) {
    if (&value != list.data()) *text += ',';
    *text += '\n';
    *text += format(value);
  }
  *text += ']';
}

}  // namespace

std::string FormatRecordingJson(const Recording& recording) {
  Json json = JsonDocument("recording");
  json["process"] = {
      {"pid", recording.pid}, {"program", recording.program}, {"title", recording.title}};
  json["recorded_by"] = recording.version;
  json["began_unix_ns"] = recording.unix_ns;
  json["duration_us"] = recording.end_us;
  json["end"] = EndText(recording);
  json["is_whole"] = recording.damage.empty() && recording.end != EndReason::kUnknown;
  json["dropped_events"] = recording.dropped_events;
  json["settings"] = recording.settings;
  json["peak_us"] = recording.peak_us;
  json["peak_charged_bytes"] = ValueAt(recording.total, recording.peak_us);
  std::string text = Text(json);
  text.pop_back();
  // The lists are long: as values of a document they would take many times the memory.
  AddList("tasks", recording.tasks, TaskText, &text);
  AddList(
      "events", recording.events, [](const RecordedEvent& event) { return Text(EventJson(event)); },
      &text);
  AddList("pools", recording.pools, PoolsText, &text);
  AddList("process_bytes", recording.process, ProcessText, &text);
  AddList("classes", recording.classes, ClassesText, &text);
  return text + ",\n\"sites_at_peak\":" + Text(SitesJson(recording)) + "}\n";
}

}  // namespace taskmem
