#include <nlohmann/json.hpp>

#include "tools/base/json_document.h"
#include "tools/stats/allocators_report.h"
#include "tools/stats/report.h"

namespace taskmem {
namespace {

using Json = nlohmann::ordered_json;

// Times in nanoseconds, as their names say.
Json ReclaimJson(const ReclaimStats& reclaim) {
  return {{"spill_calls", reclaim.spill_calls},
          {"spill_asked_bytes", reclaim.spill_asked_bytes},
          {"spill_freed_bytes", reclaim.spill_freed_bytes},
          {"soft_spill_calls", reclaim.soft_spill_calls},
          {"soft_spill_asked_bytes", reclaim.soft_spill_asked_bytes},
          {"soft_spill_freed_bytes", reclaim.soft_spill_freed_bytes},
          {"stalls", reclaim.stalls},
          {"stall_ns", reclaim.stall_ns},
          {"longest_stall_ns", reclaim.longest_stall_ns},
          {"evicted_blocks", reclaim.evicted_blocks},
          {"evicted_bytes", reclaim.evicted_bytes},
          {"written_bytes", reclaim.written_bytes},
          {"read_bytes", reclaim.read_bytes},
          {"overflow_bytes", reclaim.overflow_bytes},
          {"peak_overflow_bytes", reclaim.peak_overflow_bytes},
          {"pushed_out_bytes", reclaim.pushed_out_bytes},
          {"returned_bytes", reclaim.returned_bytes},
          {"waits", reclaim.waits},
          {"wait_ns", reclaim.wait_ns}};
}

Json TaskJson(const TaskStats& task) {
  return {{"task_id", OrNull(task.id)},
          {"name", task.name},
          {"quota_bytes", OrNull(task.quota_bytes)},
          {"charged_bytes", task.charged_bytes},
          {"granted_bytes", OrNull(task.granted_bytes)},
          {"peak_charged_bytes", task.peak_charged_bytes},
          {"retained_bytes", task.retained_bytes},
          {"refusals", task.refusals},
          {"overdraft_bytes", task.overdraft_bytes},
          {"peak_overdraft_bytes", task.peak_overdraft_bytes},
          {"overdrafts", task.overdrafts},
          {"threads", task.threads},
          {"pages", task.pages},
          {"reclaim", ReclaimJson(task.reclaim)}};
}

Json PoolsJson(const PoolUsage& pools) {
  return {{"memory_bytes", OrNull(pools.memory_bytes)},
          {"execution_size_bytes", pools.execution_size_bytes},
          {"execution_used_bytes", pools.execution_used_bytes},
          {"storage_size_bytes", pools.storage_size_bytes},
          {"storage_used_bytes", pools.storage_used_bytes},
          {"unmanaged_bytes", pools.unmanaged_bytes},
          {"overdrawn_bytes", pools.overdrawn_bytes},
          {"untouched_bytes", pools.untouched_bytes},
          {"active_tasks", pools.active_tasks}};
}

Json SumsJson(const ProcessStats& process) {
  return {{"pid", process.pid},
          {"program", process.program},
          {"label", process.label.empty() ? Json(nullptr) : Json(process.label)},
          {"end", process.end.empty() ? Json(nullptr) : Json(process.end)},
          {"charged_bytes", process.charged_bytes},
          {"peak_charged_bytes", process.peak_charged_bytes},
          {"untracked_bytes", process.untracked_bytes},
          {"resident_bytes", process.resident_bytes},
          {"peak_resident_bytes", process.peak_resident_bytes},
          {"refusals", process.refusals}};
}

Json ProcessJson(const ProcessStats& process, Json result = {}) {
  Json tasks = Json::array();
  for (const TaskStats& task : process.tasks) tasks.push_back(TaskJson(task));
  result["process"] = SumsJson(process);
  result["pools"] = PoolsJson(process.pools);
  result["tasks"] = std::move(tasks);
  result["allocators"] = AllocatorsJson(process.allocators);
  result["children"] = Json::array();
  return result;
}

}  // namespace

std::string FormatJson(const ProcessStats& process, const std::vector<ProcessStats>& children) {
  Json result = ProcessJson(process, JsonDocument("stats"));
  for (const ProcessStats& child : children) result["children"].push_back(ProcessJson(child));
  return JsonText(result);
}

std::string FormatProcessListJson(const std::vector<ProcessStats>& processes) {
  Json result = JsonDocument("ps");
  result["processes"] = Json::array();
  for (const ProcessStats& process : processes) {
    Json entry = SumsJson(process);
    entry["task_count"] = CountTasks(process);
    result["processes"].push_back(std::move(entry));
  }
  return JsonText(result);
}

}  // namespace taskmem
