#include "tools/top/task_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "accounting/tasks/task_book.h"
#include "tools/base/cells.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"
#include "tools/sites/named_sites.h"

namespace taskmem {
namespace {

std::string Milliseconds(uint64_t ns) {
  return fmt::format("{:.1f} ms", static_cast<double>(ns) / 1e6);
}

std::string Quota(const TaskStats& stats) {
  return stats.quota_bytes ? HumanBytes(*stats.quota_bytes) : "none";
}

const TaskAudit* FindAudited(const Audit& audit, const TaskStats& stats) {
  const auto found =
      std::find_if(audit.tasks.begin(), audit.tasks.end(), [&](const TaskAudit& task) {
        return task.id == stats.id && (stats.id || task.name == stats.name);
      });
  return found != audit.tasks.end() ? &*found : nullptr;
}

std::string Innermost(const NamedSite& site) {
  std::string text;
  // Who called whom: as far as fits.
  for (size_t i = 0; i < std::min<size_t>(site.frames.size(), 4); ++i) {
    const Symbol& symbol = site.frames[i].symbol;
    if (i != 0) text += " < ";
    text += symbol.function.empty() ? symbol.module : symbol.function;
  }
  return text.empty() ? "unknown" : text;
}

// Where most of it lies: as many size classes as fit.
std::string SizesText(const TaskAudit& audited, size_t columns) {
  std::vector<std::pair<uint64_t, uint64_t>> sizes(audited.sizes.begin(), audited.sizes.end());
  std::stable_sort(sizes.begin(), sizes.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [block_bytes, bytes] : sizes) {
    const std::string next = fmt::format("{}{} in blocks of {}", text.empty() ? "" : ", ",
                                         HumanBytes(bytes), HumanBytes(block_bytes));
    if (!text.empty() && text.size() + next.size() > columns) break;
    text += next;
  }
  return text.empty() ? "none" : text;
}

// The largest of a list, and what the others sum up to.
constexpr size_t kMostListed = 5;
template <typename T, typename Describe>
void AddLargest(const char* heading, std::vector<const T*> list, uint64_t T::*bytes,
                Describe describe, size_t columns, std::vector<ScreenLine>* lines) {
  if (list.empty()) return;
  lines->push_back({{heading, Style::kHeading}});
  std::stable_sort(list.begin(), list.end(),
                   [&](const T* a, const T* b) { return a->*bytes > b->*bytes; });
  uint64_t rest = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    if (i >= kMostListed) {
      rest += list[i]->*bytes;
      continue;
    }
    lines->push_back({{CutToCells(
        fmt::format("{:>10}  {}", HumanBytes(list[i]->*bytes), describe(*list[i])), columns)}});
  }
  if (list.size() <= kMostListed) return;
  lines->push_back({{CutToCells(
      fmt::format("{:>10}  of {} more", HumanBytes(rest), list.size() - kMostListed), columns)}});
}

std::string ConsumerText(const RemoteConsumer& consumer) {
  const std::string name = Printable(consumer.name);
  return fmt::format("{}, on {}{}", name.empty() ? "without a name" : name,
                     consumer.has_own_thread ? "a thread of taskmem's" : "the task's thread",
                     consumer.is_running  ? ", is being asked"
                     : consumer.is_queued ? ", waits to be asked"
                                          : "");
}

void AddReclaimable(const ReclaimTables& tables, const TaskAudit& audited, size_t columns,
                    std::vector<ScreenLine>* lines) {
  std::vector<const RemoteConsumer*> consumers;
  for (const RemoteConsumer& consumer : tables.consumers) {
    if (consumer.slot == audited.slot) consumers.push_back(&consumer);
  }
  AddLargest("CONSUMERS, by what they say that they hold", std::move(consumers),
             &RemoteConsumer::used_bytes, ConsumerText, columns, lines);
  if (audited.slot != kStorageSlot) return;
  std::vector<const RemoteBlock*> blocks;
  for (const RemoteBlock& block : tables.blocks) blocks.push_back(&block);
  AddLargest(
      "BLOCKS in memory", std::move(blocks), &RemoteBlock::bytes,
      [](const RemoteBlock& block) { return Printable(block.name); }, columns, lines);
}

void AddSites(const TopView& view, const TopTask& task, size_t columns,
              std::vector<ScreenLine>* lines) {
  const TaskAudit* const audited = FindAudited(*view.audit, task.stats);
  if (audited != nullptr) {
    lines->push_back(
        {{fmt::format("in memory      blocks {}, mappings {}", HumanBytes(audited->page_bytes),
                      HumanBytes(audited->mapping_bytes))}});
    const size_t room = columns - std::min<size_t>(columns, 15);
    lines->push_back({{"sizes          " + CutToCells(SizesText(*audited, room), room)}});
    AddReclaimable(view.tables, *audited, columns, lines);
  }
  lines->push_back({{"SITES that hold it, by samples", Style::kHeading}});
  bool has_any = false;
  for (const NamedSite& site : view.sites) {
    const bool is_its = site.task != nullptr ? site.task->id == task.stats.id && site.task->id
                                             : task.stats.name == "untracked";
    if (!is_its) continue;
    has_any = true;
    const std::string bytes = fmt::format("{:>10}  ", HumanBytes(site.bytes));
    lines->push_back(
        {{bytes}, {CutToCells(Innermost(site), columns - std::min(columns, bytes.size()))}});
  }
  if (!has_any) lines->push_back({{"none: it holds too little", Style::kDim}});
}

}  // namespace

std::vector<ScreenLine> DrawTask(const TopModel& model, const TopView& view, size_t columns) {
  std::vector<ScreenLine> lines;
  const TopTask* const task = model.FindTask(*view.selected);
  if (task == nullptr) return {{{"the task is gone", Style::kDim}}};
  const TaskStats& stats = task->stats;
  const ReclaimStats& reclaim = stats.reclaim;
  const auto add = [&](const char* label, std::string text) {
    lines.push_back({{fmt::format("{:<15}", label)},
                     {CutToCells(text, columns - std::min<size_t>(columns, 15))}});
  };
  lines.push_back({{fmt::format("{:<{}}", "TASK", columns), Style::kHeading}});
  add("task", fmt::format("{}  {}{}", stats.id ? TaskIdText(*stats.id) : "-", task->name,
                          stats.has_ended ? " (ended)" : ""));
  add("holds", fmt::format("{}, peak {}, quota {}{}", HumanBytes(stats.charged_bytes),
                           HumanBytes(stats.peak_charged_bytes), Quota(stats),
                           stats.granted_bytes
                               ? fmt::format(", granted {}", HumanBytes(*stats.granted_bytes))
                               : ""));
  add("works", fmt::format("{} threads, {} pages of its own", stats.threads, stats.pages));
  add("refused", fmt::format("{} times; let through {} times, {} above the quota now, peak {}",
                             stats.refusals, stats.overdrafts, HumanBytes(stats.overdraft_bytes),
                             HumanBytes(stats.peak_overdraft_bytes)));
  add("consumers",
      fmt::format("hooks called {} times, freed {} of {} asked for", reclaim.spill_calls,
                  HumanBytes(reclaim.spill_freed_bytes), HumanBytes(reclaim.spill_asked_bytes)));
  if (reclaim.soft_spill_calls != 0) {
    add("", fmt::format("at the soft limit {} times, freed {} of {}", reclaim.soft_spill_calls,
                        HumanBytes(reclaim.soft_spill_freed_bytes),
                        HumanBytes(reclaim.soft_spill_asked_bytes)));
  }
  add("blocks", fmt::format("evicted for it {}, {}; written {}, read back {}",
                            reclaim.evicted_blocks, HumanBytes(reclaim.evicted_bytes),
                            HumanBytes(reclaim.written_bytes), HumanBytes(reclaim.read_bytes)));
  add("overflow",
      fmt::format("{}, peak {}; out {}, back {}", HumanBytes(reclaim.overflow_bytes),
                  HumanBytes(reclaim.peak_overflow_bytes), HumanBytes(reclaim.pushed_out_bytes),
                  HumanBytes(reclaim.returned_bytes)));
  add("stalled", fmt::format("{} times, {}, longest {}; waited {} times, {}", reclaim.stalls,
                             Milliseconds(reclaim.stall_ns), Milliseconds(reclaim.longest_stall_ns),
                             reclaim.waits, Milliseconds(reclaim.wait_ns)));
  if (view.audit) {
    AddSites(view, *task, columns, &lines);
  } else {
    lines.push_back({{"a: who allocated it, by an audit", Style::kDim}});
  }
  return lines;
}

}  // namespace taskmem
