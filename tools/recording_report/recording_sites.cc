#include "tools/recording_report/recording_sites.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "accounting/audit/site_table.h"
#include "tools/sites/symbols_apart.h"

namespace taskmem {
namespace {

using Key = std::pair<size_t, size_t>;  // stack, task + 1

Key KeyOf(const RecordedSite& site) { return {site.stack, site.task ? *site.task + 1 : 0}; }

std::vector<RecordedSite> Sorted(const std::map<Key, uint64_t>& bytes) {
  std::vector<RecordedSite> sites;
  for (const auto& [key, sum] : bytes) {
    if (sum == 0) continue;
    sites.push_back(
        {key.first, key.second != 0 ? std::optional<size_t>(key.second - 1) : std::nullopt, sum});
  }
  std::stable_sort(sites.begin(), sites.end(),
                   [](const RecordedSite& a, const RecordedSite& b) { return a.bytes > b.bytes; });
  return sites;
}

}  // namespace

const RecordedLook* LookNear(const Recording& recording, int64_t us) {
  const auto& looks = recording.looks;
  const auto after =
      std::upper_bound(looks.begin(), looks.end(), us,
                       [](int64_t time, const RecordedLook& look) { return time < look.us; });
  if (after == looks.begin()) return looks.empty() ? nullptr : &looks.front();
  const auto before = std::prev(after);
  if (after == looks.end() || us - before->us <= after->us - us) return &*before;
  return &*after;
}

std::vector<RecordedSite> LiveSites(const Recording& recording, int64_t us) {
  const RecordedLook* const last = LookNear(recording, us);
  std::map<Key, uint64_t> bytes;
  for (const RecordedLook& look : recording.looks) {
    if (&look > last) break;
    for (const RecordedSite& site : look.sites) bytes[KeyOf(site)] = site.bytes;
  }
  return Sorted(bytes);
}

RecordedSymbols SymbolsOf(const Recording& recording) {
  RecordedSymbols symbols = recording.symbols;
  std::set<uint64_t> missing;
  for (const RecordedStack& stack : recording.stacks) {
    for (const uint64_t frame : stack.frames) {
      if (!symbols.contains(frame)) missing.insert(frame);
    }
  }
  if (missing.empty()) return symbols;
  for (auto& [address, chain] :
       NamesOfReturnAddresses(recording.modules, {missing.begin(), missing.end()})) {
    symbols.emplace(address, std::move(chain));
  }
  return symbols;
}

SitesAsAudit AsAudit(const Recording& recording, const RecordedSymbols& symbols,
                     const std::vector<RecordedSite>& sites) {
  SitesAsAudit result;
  Audit& audit = result.audit;
  audit.pid = static_cast<pid_t>(recording.pid);
  audit.program = recording.program;
  audit.title = recording.title;
  audit.modules = recording.modules;
  audit.sites.is_on = true;
  audit.sites.interval_bytes = recording.sites_interval_bytes;
  for (const RecordedTask& task : recording.tasks) {
    TaskAudit& known = audit.tasks.emplace_back();
    known.slot = task.slot;
    known.id = task.id;
    known.name = task.name;
    known.has_ended = task.end_us.has_value();
  }
  for (const RecordedSite& recorded : sites) {
    NamedSite& site = result.sites.emplace_back();
    const RecordedStack& stack = recording.stacks[recorded.stack];
    for (const uint64_t frame : stack.frames) {
      const auto chain = symbols.find(frame);
      if (chain == symbols.end()) continue;
      for (const Symbol& symbol : chain->second) {
        // Between the program's function and libc's, where a thread begins.
        if (!IsPreloadLibrary(symbol.module)) site.frames.push_back({symbol, frame});
      }
    }
    site.is_cut = stack.flags == kSiteCut;
    site.bytes = recorded.bytes;
    const bool is_task = recorded.task && recording.tasks[*recorded.task].IsTask();
    site.task = is_task ? &audit.tasks[*recorded.task] : nullptr;
  }
  return result;
}

}  // namespace taskmem
