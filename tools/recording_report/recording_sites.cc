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

std::vector<RecordedSite> Sorted(std::vector<RecordedSite> sites) {
  std::stable_sort(sites.begin(), sites.end(),
                   [](const RecordedSite& a, const RecordedSite& b) { return a.bytes > b.bytes; });
  return sites;
}

// Those beyond the largest as one for each task.
void Fold(std::vector<RecordedSite>* sites) {
  std::map<std::optional<size_t>, uint64_t> sums;
  for (size_t i = kMostLiveSites; i < sites->size(); ++i) {
    sums[(*sites)[i].task] += (*sites)[i].bytes;
  }
  sites->resize(kMostLiveSites);
  for (const auto& [task, bytes] : sums) sites->push_back({kNoStack, task, bytes});
}

// What a frame takes in memory.
size_t BytesOf(const Symbol& symbol) {
  return sizeof(NamedFrame) + symbol.function.capacity() + symbol.module.capacity() +
         symbol.path.capacity() + symbol.file.capacity();
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
  std::vector<RecordedSite> sites;
  for (const auto& [key, sum] : bytes) {
    if (sum == 0) continue;
    sites.push_back(
        {key.first, key.second != 0 ? std::optional<size_t>(key.second - 1) : std::nullopt, sum});
  }
  bytes.clear();
  sites = Sorted(std::move(sites));
  if (sites.size() <= kMostLiveSites) return sites;
  Fold(&sites);
  return Sorted(std::move(sites));
}

RecordedSymbols::RecordedSymbols(const Recording& recording) : recording_(recording) {
  constexpr size_t kMostOthers = 100'000;  // a program has far fewer places that allocate
  std::set<uint64_t> missing;
  for (const RecordedStack& stack : recording.stacks) {
    if (stack.program != recording.executions) continue;
    for (const uint64_t frame : stack.frames) {
      if (missing.size() == kMostOthers) break;
      if (!recording.symbols.contains({stack.program, frame})) missing.insert(frame);
    }
  }
  if (missing.empty()) return;
  for (auto& [address, chain] :
       NamesOfReturnAddresses(recording.modules, {missing.begin(), missing.end()})) {
    others_.emplace(address, std::move(chain));
  }
}

const std::vector<Symbol>* RecordedSymbols::Find(const RecordedStack& stack, uint64_t frame) const {
  const auto recorded = recording_.symbols.find({stack.program, frame});
  if (recorded != recording_.symbols.end()) return &recorded->second;
  if (stack.program != recording_.executions) return nullptr;
  const auto found = others_.find(frame);
  return found != others_.end() ? &found->second : nullptr;
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
  std::map<size_t, size_t> tasks;  // of those that hold something, where they are
  for (const RecordedSite& site : sites) {
    if (!site.task || !recording.tasks[*site.task].IsTask()) continue;
    if (!tasks.try_emplace(*site.task, audit.tasks.size()).second) continue;
    const RecordedTask& task = recording.tasks[*site.task];
    TaskAudit& known = audit.tasks.emplace_back();
    known.slot = task.slot;
    known.id = task.id;
    known.name = task.name;
    known.has_ended = task.end_us.has_value();
  }
  constexpr size_t kMostFrameBytes = size_t{100} << 20;
  size_t frame_bytes = 0;
  for (const RecordedSite& recorded : sites) {
    NamedSite& site = result.sites.emplace_back();
    site.bytes = recorded.bytes;
    const auto task = recorded.task ? tasks.find(*recorded.task) : tasks.end();
    site.task = task != tasks.end() ? &audit.tasks[task->second] : nullptr;
    site.is_cut = true;
    if (recorded.stack == kNoStack || frame_bytes > kMostFrameBytes) continue;
    const RecordedStack& stack = recording.stacks[recorded.stack];
    site.is_cut = stack.flags == kSiteCut;
    for (const uint64_t frame : stack.frames) {
      const std::vector<Symbol>* const chain = symbols.Find(stack, frame);
      if (chain == nullptr) continue;
      for (const Symbol& symbol : *chain) {
        // Between the program's function and libc's, where a thread begins.
        if (IsPreloadLibrary(symbol.module)) continue;
        site.frames.push_back({symbol, frame});
        frame_bytes += BytesOf(symbol);
      }
    }
  }
  return result;
}

}  // namespace taskmem
