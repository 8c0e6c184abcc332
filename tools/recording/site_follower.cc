#include "tools/recording/site_follower.h"

#include <algorithm>

#include "tools/sites/symbols_apart.h"

namespace taskmem {
namespace {

// Beyond these, the smallest sites are left out.
constexpr size_t kMostSitesOfALook = 8192;
constexpr size_t kMostStacks = 65536;

bool IsSame(const std::vector<Module>& a, const std::vector<Module>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Module& x, const Module& y) {
    return x.start == y.start && x.end == y.end && x.path == y.path;
  });
}

}  // namespace

void SiteFollower::Follow(const Audit& audit, const TaskFollower& tasks) {
  PackedWriter classes;
  classes.Number(audit.classes.size());
  for (const uint64_t bytes : audit.classes) classes.Number(bytes);
  file_->Add(RecordType::kClasses, classes);
  WriteModules(audit.modules);

  std::map<std::pair<uint64_t, uint64_t>, uint64_t> now;
  size_t sites = 0;
  for (const SiteEstimate& site : audit.sites.sites) {
    if (++sites > kMostSitesOfALook) break;
    const uint64_t stack = NumberOf(site);
    if (stack == UINT64_MAX) continue;
    const auto task = tasks.TaskIn(site.slot);
    now[{stack, task ? *task + 1 : 0}] += site.bytes;
  }
  PackedWriter changes;
  size_t changed = 0;
  const auto change = [&](const std::pair<uint64_t, uint64_t>& site, uint64_t bytes) {
    changes.Number(site.first).Number(site.second).Number(bytes);
    ++changed;
  };
  for (const auto& [site, bytes] : now) {
    const auto before = bytes_.find(site);
    if (before == bytes_.end() || before->second != bytes) change(site, bytes);
  }
  for (const auto& [site, bytes] : bytes_) {
    if (!now.contains(site)) change(site, 0);
  }
  // Also where nothing has changed: there was a look.
  file_->Add(
      RecordType::kSites,
      PackedWriter(PackedWriter().Number(audit.sites.interval_bytes).Number(changed).bytes() +
                   changes.bytes()));
  bytes_ = std::move(now);
}

void SiteFollower::WriteModules(const std::vector<Module>& modules) {
  if (IsSame(modules, modules_)) return;
  modules_ = modules;
  PackedWriter record;
  record.Number(modules.size());
  for (const Module& module : modules) {
    record.Number(module.start).Number(module.end - module.start).Text(module.path);
  }
  file_->Add(RecordType::kModules, record);
}

uint64_t SiteFollower::NumberOf(const SiteEstimate& site) {
  std::vector<uint64_t> key = site.frames;
  key.push_back(site.flags);
  const auto known = stacks_.find(key);
  if (known != stacks_.end()) return known->second;
  if (stacks_.size() >= kMostStacks) return UINT64_MAX;
  const uint64_t number = stacks_ever_++;
  stacks_.emplace(std::move(key), number);
  addresses_.insert(site.frames.begin(), site.frames.end());
  PackedWriter record;
  record.Number(number).Number(site.flags).Number(site.frames.size());
  uint64_t last = 0;
  for (const uint64_t frame : site.frames) {
    record.Signed(static_cast<int64_t>(frame - last));
    last = frame;
  }
  file_->Add(RecordType::kStack, record);
  return number;
}

void SiteFollower::WriteSymbols() {
  if (addresses_.empty()) return;
  const SymbolTable symbols =
      NamesOfReturnAddresses(modules_, {addresses_.begin(), addresses_.end()});
  for (const auto& [address, chain] : symbols) {
    // The function that has the code: what was inlined there is not recorded.
    const Symbol& symbol = chain.back();
    PackedWriter record;
    record.Number(address).Text(symbol.function).Text(symbol.path).Text(symbol.file);
    record.Number(static_cast<uint64_t>(std::max(symbol.line, 0))).Number(symbol.offset);
    file_->Add(RecordType::kSymbol, record);
  }
  addresses_.clear();
}

void SiteFollower::ForgetAll() {
  WriteSymbols();
  stacks_.clear();
  bytes_.clear();
  modules_.clear();
}

}  // namespace taskmem
