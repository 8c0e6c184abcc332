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

Json OrNull(uint64_t value) { return value == UINT64_MAX ? Json(nullptr) : Json(value); }

Json Values(const std::vector<RecordedValue>& values) {
  Json json = Json::array();
  for (const RecordedValue& value : values) json.push_back({value.us, OrNull(value.value)});
  return json;
}

Json TaskJson(const RecordedTask& task) {
  Json json;
  json["task_id"] = task.id ? Json(*task.id) : Json(nullptr);
  json["name"] = task.name;
  json["begin_us"] = task.begin_us;
  json["end_us"] = task.end_us ? Json(*task.end_us) : Json(nullptr);
  json["peak_charged_bytes"] = task.peak_bytes;
  json["quota_bytes"] = Values(task.quota);
  json["charged_bytes"] = Values(task.charged);
  Json counters = Json::object();
  for (size_t i = 0; i < kCounters; ++i) {
    if (task.counters[i] != 0) counters[kCounterKeys[i]] = task.counters[i];
  }
  json["counters"] = counters;
  return json;
}

Json EventJson(const RecordedEvent& event) {
  Json json;
  json["time_us"] = event.us;
  json["kind"] = EventKindKey(event.kind);
  json["task"] = event.task ? Json(*event.task) : Json(nullptr);
  json["bytes"] = event.bytes;
  json["held_bytes"] = event.held;
  if (event.kind == EventKind::kRefusal) {
    json["limit_bytes"] = OrNull(event.limit);
    json["by_quota"] = (event.flags & kEventByQuota) != 0;
  } else if (event.kind == EventKind::kWait || event.kind == EventKind::kStall) {
    json["duration_ns"] = event.limit;
  }
  return json;
}

Json SitesJson(const Recording& recording, int64_t us) {
  Json json = Json::array();
  const SitesAsAudit named =
      AsAudit(recording, SymbolsOf(recording, true), LiveSites(recording, us));
  const std::vector<RecordedSite> live = LiveSites(recording, us);
  for (size_t i = 0; i < live.size(); ++i) {
    Json frames = Json::array();
    for (const NamedFrame& frame : named.sites[i].frames) frames.push_back(frame.symbol.Text());
    json.push_back({{"bytes", live[i].bytes},
                    {"task", live[i].task ? Json(*live[i].task) : Json(nullptr)},
                    {"frames", frames}});
  }
  return json;
}

}  // namespace

nlohmann::ordered_json RecordingJson(const Recording& recording) {
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
  const int64_t peak_us = recording.PeakUs();
  json["peak_us"] = peak_us;
  json["peak_charged_bytes"] = recording.ChargedAt(peak_us);
  json["tasks"] = Json::array();
  for (const RecordedTask& task : recording.tasks) json["tasks"].push_back(TaskJson(task));
  json["events"] = Json::array();
  for (const RecordedEvent& event : recording.events) json["events"].push_back(EventJson(event));
  json["pools"] = Json::array();
  for (const RecordedPools& pools : recording.pools) {
    json["pools"].push_back(
        {{"time_us", pools.us},
         {"memory_bytes", pools.memory_bytes ? Json(*pools.memory_bytes) : Json(nullptr)},
         {"execution_used_bytes", pools.execution_used},
         {"storage_used_bytes", pools.storage_used},
         {"overdrawn_bytes", pools.overdrawn},
         {"slack_bytes", pools.slack},
         {"active_tasks", pools.active_tasks}});
  }
  json["process_bytes"] = Json::array();
  for (const RecordedProcess& process : recording.process) {
    json["process_bytes"].push_back({{"time_us", process.us},
                                     {"resident_bytes", process.resident},
                                     {"charged_bytes", process.charged}});
  }
  json["classes"] = Json::array();
  for (const RecordedClasses& classes : recording.classes) {
    Json row;
    row["time_us"] = classes.us;
    for (size_t i = 0; i < kLedgerClasses; ++i) {
      row[LedgerClassKey(static_cast<LedgerClass>(i))] = classes.bytes[i];
    }
    json["classes"].push_back(std::move(row));
  }
  json["sites_at_peak"] = SitesJson(recording, peak_us);
  return json;
}

}  // namespace taskmem
