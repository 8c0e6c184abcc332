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
void WriteValues(const std::vector<RecordedValue>& values, const TextSink& write) {
  write("[");
  for (const RecordedValue& value : values) {
    write(fmt::format("{}[{},{}]", &value == values.data() ? "" : ",", value.us,
                      value.value == UINT64_MAX ? "null" : fmt::to_string(value.value)));
  }
  write("]");
}

std::string Text(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

void WriteTask(const RecordedTask& task, const TextSink& write) {
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
  write(text + ",\"quota_bytes\":");
  WriteValues(task.quota, write);
  write(",\"charged_bytes\":");
  WriteValues(task.charged, write);
  write(",\"mapped_bytes\":");
  WriteValues(task.mapped, write);
  write("}");
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
template <typename T, typename Write>
void WriteList(const char* key, const std::vector<T>& list, const TextSink& write, Write one) {
  write(fmt::format(",\n\"{}\":[", key));
  for (const T& value : list) {
    write(&value != list.data() ? ",\n" : "\n");
    one(value);
  }
  write("]");
}

// What lived at the peak.
void WriteSites(const Recording& recording, const TextSink& write) {
  const std::vector<RecordedSite> live = LiveSites(recording, recording.peak_us);
  const SitesAsAudit named = AsAudit(recording, RecordedSymbols(recording), live);
  WriteList("sites_at_peak", live, write, [&](const RecordedSite& site) {
    Json frames = Json::array();
    for (const NamedFrame& frame : named.sites[static_cast<size_t>(&site - live.data())].frames) {
      frames.push_back(frame.symbol.Text());
    }
    write(Text({{"bytes", site.bytes}, {"task", OrNull(site.task)}, {"frames", frames}}));
  });
}

}  // namespace

void WriteRecordingJson(const Recording& recording, const TextSink& write) {
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
  write(text);
  // The lists are long: as values of a document they would take many times the memory.
  WriteList("tasks", recording.tasks, write,
            [&](const RecordedTask& task) { WriteTask(task, write); });
  WriteList("events", recording.events, write,
            [&](const RecordedEvent& event) { write(Text(EventJson(event))); });
  WriteList("pools", recording.pools, write,
            [&](const RecordedPools& pools) { write(PoolsText(pools)); });
  WriteList("process_bytes", recording.process, write,
            [&](const RecordedProcess& process) { write(ProcessText(process)); });
  WriteList("classes", recording.classes, write,
            [&](const RecordedClasses& classes) { write(ClassesText(classes)); });
  WriteSites(recording, write);
  write("}\n");
}

}  // namespace taskmem
