#include "tools/sites/named_sites.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "accounting/audit/site_table.h"
#include "tools/remote/modules.h"

namespace taskmem {
namespace {

// Stacks differ by the exact place of a call; to people the same functions are one site.
using SiteKey = std::pair<std::vector<std::string>, uint32_t>;

// Libraries that allocate for others: who called them is the module that matters.
bool AllocatesForOthers(const Symbol& symbol) {
  return symbol.module.starts_with("libc.so") || symbol.module.starts_with("libstdc++.so");
}

}  // namespace

std::vector<NamedSite> NameSites(const Audit& audit, size_t most, NameAddresses name) {
  // Frames with names are large. Beyond so many, the smallest sites have none.
  constexpr size_t kMostNamedFrames = 1 << 18;
  std::set<uint64_t> addresses;
  size_t frames = 0;
  size_t named = 0;
  for (const SiteEstimate& estimate : audit.sites.sites) {
    frames += estimate.frames.size();
    if (frames > kMostNamedFrames) break;
    ++named;
    addresses.insert(estimate.frames.begin(), estimate.frames.end());
  }
  const SymbolTable symbols = name(audit.modules, {addresses.begin(), addresses.end()});
  std::unordered_map<uint32_t, const TaskAudit*> tasks;
  for (const TaskAudit& task : audit.tasks) tasks.try_emplace(task.slot, &task);
  std::vector<NamedSite> sites;
  std::vector<double> variances;
  std::map<SiteKey, size_t> index;
  for (const SiteEstimate& estimate : audit.sites.sites) {
    NamedSite site;
    SiteKey key = {{}, estimate.slot};
    const bool has_names = static_cast<size_t>(&estimate - audit.sites.sites.data()) < named;
    for (size_t i = 0; has_names && i < estimate.frames.size(); ++i) {
      const uint64_t address = estimate.frames[i];
      for (const Symbol& known : symbols.at(address)) {
        // Between the program's function and libc's, where a thread begins.
        if (IsPreloadLibrary(known.module)) continue;
        Symbol symbol = known;
        if (symbol.module.empty()) {
          const auto generated = audit.generated.find(address);
          if (generated != audit.generated.end()) symbol.function = generated->second;
        }
        site.frames.push_back({std::move(symbol), address});
        key.first.push_back(site.frames.back().symbol.Text());
      }
    }
    const auto [found, is_new] = index.try_emplace(key, sites.size());
    if (is_new) {
      site.is_cut = estimate.flags == kSiteCut;
      const auto task = tasks.find(estimate.slot);
      site.task = task != tasks.end() ? task->second : nullptr;
      sites.push_back(std::move(site));
      variances.push_back(0);
    }
    NamedSite& sum = sites[found->second];
    sum.bytes += estimate.bytes;
    sum.samples += estimate.samples;
    variances[found->second] += estimate.variance;
    sum.error_bytes =
        static_cast<uint64_t>(std::llround(1.96 * std::sqrt(variances[found->second])));
  }
  std::stable_sort(sites.begin(), sites.end(),
                   [](const NamedSite& a, const NamedSite& b) { return a.bytes > b.bytes; });
  if (sites.size() > most) sites.resize(most);
  return sites;
}

std::vector<NamedSite> SitesByModule(const std::vector<NamedSite>& sites) {
  std::map<std::pair<std::string, const TaskAudit*>, NamedSite> by_module;
  std::map<std::pair<std::string, const TaskAudit*>, double> squares;
  for (const NamedSite& site : sites) {
    Symbol symbol;
    for (const NamedFrame& frame : site.frames) {
      symbol.module = frame.symbol.module;
      symbol.path = frame.symbol.path;
      if (!AllocatesForOthers(frame.symbol)) break;
    }
    const std::pair key = {symbol.module, site.task};
    NamedSite& sum = by_module[key];
    sum.frames = {{symbol, 0}};
    sum.task = site.task;
    sum.bytes += site.bytes;
    sum.samples += site.samples;
    const auto error = static_cast<double>(site.error_bytes);
    squares[key] += error * error;
    sum.error_bytes = static_cast<uint64_t>(std::llround(std::sqrt(squares[key])));
  }
  std::vector<NamedSite> result;
  for (auto& [key, site] : by_module) result.push_back(std::move(site));
  std::stable_sort(result.begin(), result.end(),
                   [](const NamedSite& a, const NamedSite& b) { return a.bytes > b.bytes; });
  return result;
}

}  // namespace taskmem
