#include "tools/audit_report/audit_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "shim/taskmem.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"
#include "tools/stats/allocators_report.h"

namespace taskmem {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostUnknown = 10;
constexpr size_t kMostTasks = 20;
constexpr size_t kMostFrames = 12;  // shown of a site
constexpr size_t kNameColumns = 30;

std::string Percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string TaskColumn(const TaskAudit* task) {
  if (task == nullptr) return "untracked";
  std::string text = Printable(task->name, kNameColumns);
  if (task->id) {
    const std::string id = TaskIdText(*task->id);
    text = text.empty() ? id : fmt::format("{} ({})", id, text);
  }
  if (task->has_ended) text += ", retained after end";
  return text;
}

// Where even a single kind says something: which library.
bool ShowsKind(LedgerClass ledger_class) {
  return ledger_class == LedgerClass::kTaskMappings ||
         ledger_class == LedgerClass::kUntrackedMappings ||
         ledger_class == LedgerClass::kManagedHeap;
}

std::string FormatClasses(const Audit& audit) {
  std::string text;
  for (size_t i = 0; i < kLedgerClasses; ++i) {
    const auto ledger_class = static_cast<LedgerClass>(i);
    const uint64_t bytes = audit.classes[i];
    text += fmt::format("  {:>10}  {:>7}  {}", HumanBytes(bytes),
                        Percent(bytes, audit.resident_bytes), LedgerClassName(ledger_class));
    std::string kinds;
    size_t count = 0;
    for (const auto& [key, kind_bytes] : audit.kinds) {
      if (key.first != ledger_class) continue;
      ++count;
      kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", Printable(key.second),
                           HumanBytes(kind_bytes));
    }
    if (count > 1 || (count == 1 && ShowsKind(ledger_class))) text += ": " + kinds;
    text += '\n';
  }
  return text + fmt::format("  {:>10}  {:>7}  resident, as the kernel counts\n",
                            HumanBytes(audit.resident_bytes), "100.0 %");
}

std::string FormatTasks(const std::vector<TaskAudit>& tasks) {
  std::string text;
  for (size_t i = 0; i < std::min(tasks.size(), kMostTasks); ++i) {
    text += fmt::format("  {:>10}  {}\n", HumanBytes(tasks[i].page_bytes + tasks[i].mapping_bytes),
                        TaskColumn(&tasks[i]));
  }
  if (tasks.size() > kMostTasks) {
    uint64_t rest = 0;
    for (size_t i = kMostTasks; i < tasks.size(); ++i) {
      rest += tasks[i].page_bytes + tasks[i].mapping_bytes;
    }
    text += fmt::format("  {:>10}  … {} more tasks\n", HumanBytes(rest), tasks.size() - kMostTasks);
  }
  return text;
}

std::string FormatUnknown(const Audit& audit) {
  std::string text;
  for (size_t i = 0; i < std::min(audit.unknown.size(), kMostUnknown); ++i) {
    const MemoryRange& range = audit.unknown[i];
    text += fmt::format("  {:>10}  {:x}-{:x} {} of {} {}\n", HumanBytes(range.resident_bytes),
                        range.start, range.end, range.Permissions(), HumanBytes(range.bytes()),
                        Printable(range.name));
  }
  if (audit.unknown.size() > kMostUnknown) {
    text += fmt::format("              … {} more ranges\n", audit.unknown.size() - kMostUnknown);
  }
  return text;
}

std::string FrameText(const NamedFrame& frame) {
  std::string text = frame.symbol.Text();
  if (!frame.symbol.file.empty()) {
    text += fmt::format(" {}:{}", frame.symbol.file, frame.symbol.line);
  }
  if (frame.symbol.is_inlined) text += ", inlined";
  return Printable(text);
}

// Blocks as large as the interval are remembered one by one: of these nothing is estimated.
std::string AccuracyText(const NamedSite& site) {
  if (site.error_bytes == 0) {
    return site.samples == 1 ? "exact"
                             : fmt::format("exact, {} remembered one by one", site.samples);
  }
  return fmt::format("± {}, {} sample{}", HumanBytes(site.error_bytes), site.samples,
                     site.samples == 1 ? "" : "s");
}

std::string FormatSites(const std::vector<NamedSite>& sites) {
  std::string text;
  for (const NamedSite& site : sites) {
    text += fmt::format("  {:>10}  {}, {}\n", HumanBytes(site.bytes), AccuracyText(site),
                        TaskColumn(site.task));
    const size_t shown = std::min(site.frames.size(), kMostFrames);
    for (size_t i = 0; i < shown; ++i) {
      text += fmt::format("                {}\n", FrameText(site.frames[i]));
    }
    if (shown < site.frames.size()) {
      text += fmt::format("                … {} more\n", site.frames.size() - shown);
    } else if (site.is_cut) {
      text += "                …\n";
    }
  }
  return text;
}

Json FrameJson(const NamedFrame& frame) {
  Json json;
  json["function"] = frame.symbol.function;
  json["module"] = frame.symbol.module;
  if (!frame.symbol.file.empty()) {
    json["file"] = frame.symbol.file;
    json["line"] = frame.symbol.line;
  }
  if (frame.symbol.is_inlined) json["inlined"] = true;
  if (frame.symbol.is_unloaded) json["unloaded"] = true;
  // One in an unloaded library has only a place in that.
  if (frame.address != 0 && !frame.symbol.is_unloaded)
    json["address"] = fmt::format("{:#x}", frame.address);
  return json;
}

}  // namespace

std::string FormatAudit(const Audit& audit, const std::vector<NamedSite>& sites) {
  std::string text = fmt::format(
      "taskmem: audit of {}, pid {}\n",
      Printable(audit.title.empty() ? std::filesystem::path(audit.program).filename().string()
                                    : audit.title,
                kNameColumns),
      audit.pid);
  text += FormatClasses(audit);
  if (audit.is_cut_short) text += "cut short after 20 s: not all of its tables were read\n";
  if (!audit.tasks.empty()) text += "tasks, resident:\n" + FormatTasks(audit.tasks);
  if (!audit.allocators.empty()) {
    text += "allocators:\n";
    for (const AllocatorStats& allocator : audit.allocators) {
      text += fmt::format("  {}\n", AllocatorText(allocator));
    }
  }
  if (!audit.unknown.empty()) text += "unknown:\n" + FormatUnknown(audit);
  if (!audit.sites.is_on) {
    text += "sites: not sampled (--sites off)\n";
  } else if (!sites.empty()) {
    text += fmt::format("sites, by live samples of one in {}:\n",
                        HumanBytes(audit.sites.interval_bytes)) +
            FormatSites(sites);
    if (audit.sites.lost_samples != 0) {
      text += fmt::format("  {} samples for {} were lost: too many are live\n",
                          audit.sites.lost_samples, HumanBytes(audit.sites.lost_bytes));
    }
  }
  return text;
}

nlohmann::ordered_json AuditJson(const Audit& audit, const std::vector<NamedSite>& sites) {
  Json json;
  json["pid"] = audit.pid;
  json["program"] = audit.program;
  json["resident_bytes"] = audit.resident_bytes;
  if (audit.is_cut_short) json["cut_short"] = true;
  for (size_t i = 0; i < kLedgerClasses; ++i) {
    json["classes"][LedgerClassKey(static_cast<LedgerClass>(i))] = audit.classes[i];
  }
  json["kinds"] = Json::array();
  for (const auto& [key, bytes] : audit.kinds) {
    json["kinds"].push_back(
        {{"class", LedgerClassKey(key.first)}, {"kind", key.second}, {"bytes", bytes}});
  }
  json["unknown_bytes"] = audit.Bytes(LedgerClass::kUnknown);
  json["unknown"] = Json::array();
  for (const MemoryRange& range : audit.unknown) {
    json["unknown"].push_back({{"start", fmt::format("{:#x}", range.start)},
                               {"end", fmt::format("{:#x}", range.end)},
                               {"permissions", range.Permissions()},
                               {"name", range.name},
                               {"bytes", range.bytes()},
                               {"resident_bytes", range.resident_bytes}});
  }
  json["tasks"] = Json::array();
  for (const TaskAudit& task : audit.tasks) {
    Json sizes = Json::array();
    for (const auto& [block_bytes, bytes] : task.sizes) {
      sizes.push_back({{"block_bytes", block_bytes}, {"resident_bytes", bytes}});
    }
    json["tasks"].push_back({{"task_id", task.id ? Json(*task.id) : Json()},
                             {"name", task.name},
                             {"ended", task.has_ended},
                             {"charged_bytes", task.charged_bytes},
                             {"resident_bytes", task.page_bytes + task.mapping_bytes},
                             {"page_bytes", task.page_bytes},
                             {"mapping_bytes", task.mapping_bytes},
                             {"sizes", std::move(sizes)}});
  }
  json["allocators"] = AllocatorsJson(audit.allocators);
  json["sites_interval_bytes"] = audit.sites.is_on ? Json(audit.sites.interval_bytes) : Json();
  json["sites_lost_bytes"] = audit.sites.lost_bytes;
  json["sites"] = Json::array();
  for (const NamedSite& site : sites) {
    Json frames = Json::array();
    for (const NamedFrame& frame : site.frames) frames.push_back(FrameJson(frame));
    Json entry;
    entry["bytes"] = site.bytes;
    entry["error_bytes"] = site.error_bytes;
    entry["samples"] = site.samples;
    entry["task_id"] = site.task != nullptr && site.task->id ? Json(*site.task->id) : Json();
    entry["task_name"] = site.task != nullptr ? site.task->name : "untracked";
    entry["task_ended"] = site.task != nullptr && site.task->has_ended;
    entry["frames"] = std::move(frames);
    entry["cut"] = site.is_cut;
    json["sites"].push_back(std::move(entry));
  }
  return json;
}

std::string FormatCollapsed(const std::vector<NamedSite>& sites) {
  std::string text;
  // Semicolons part frames, and the last space parts the number.
  const auto clean = [](std::string name) {
    std::replace(name.begin(), name.end(), ';', ':');
    std::replace(name.begin(), name.end(), '\n', ' ');
    return Printable(name);
  };
  for (const NamedSite& site : sites) {
    text += clean(TaskColumn(site.task));
    for (size_t i = site.frames.size(); i-- > 0;) {
      text += ';' + clean(site.frames[i].symbol.Text());
    }
    text += fmt::format(" {}\n", site.bytes);
  }
  return text;
}

}  // namespace taskmem
