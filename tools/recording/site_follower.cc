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

uint64_t LineOf(const Symbol& symbol) { return static_cast<uint64_t>(std::max(symbol.line, 0)); }

// A record of what differs between two looks: `head`, how many, and each key with its bytes.
template <typename Key, typename WriteKey>
void AddChanges(RecordType type, PackedWriter head, const std::map<Key, uint64_t>& before,
                const std::map<Key, uint64_t>& now, WriteKey write_key, FrameWriter* file) {
  PackedWriter changes;
  size_t changed = 0;
  const auto change = [&](const Key& key, uint64_t bytes) {
    write_key(&changes, key);
    changes.Number(bytes);
    ++changed;
  };
  for (const auto& [key, bytes] : now) {
    const auto found = before.find(key);
    if (found == before.end() || found->second != bytes) change(key, bytes);
  }
  for (const auto& [key, bytes] : before) {
    if (!now.contains(key)) change(key, 0);
  }
  file->Add(type, PackedWriter(head.Number(changed).bytes() + changes.bytes()));
}

}  // namespace

void SiteFollower::Follow(const Audit& audit, const TaskFollower& tasks) {
  PackedWriter classes;
  classes.Number(audit.classes.size());
  for (const uint64_t bytes : audit.classes) classes.Number(bytes);
  file_->Add(RecordType::kClasses, classes);
  WriteModules(audit.modules);
  tasks_.clear();
  for (const TaskAudit& task : audit.tasks) {
    if (const auto number = tasks.TaskIn(task.slot, task.id)) tasks_[task.slot] = *number;
  }
  WriteMappings(audit);
  WriteSites(audit);
  for (const auto& [address, function] : audit.generated) {
    if (addresses_.contains(address)) generated_.insert_or_assign(address, function);
  }
}

void SiteFollower::WriteMappings(const Audit& audit) {
  std::map<uint64_t, uint64_t> now;
  for (const TaskAudit& task : audit.tasks) {
    const auto known = tasks_.find(task.slot);
    if (known != tasks_.end() && task.mapping_bytes != 0) now[known->second] = task.mapping_bytes;
  }
  AddChanges(
      RecordType::kMappings, PackedWriter(), mapped_, now,
      [](PackedWriter* record, uint64_t task) { record->Number(task); }, file_);
  mapped_ = std::move(now);
}

void SiteFollower::WriteSites(const Audit& audit) {
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> now;
  size_t sites = 0;
  for (const SiteEstimate& site : audit.sites.sites) {
    if (++sites > kMostSitesOfALook) break;
    const uint64_t stack = NumberOf(site);
    if (stack == UINT64_MAX) continue;
    const auto task = tasks_.find(site.slot);
    now[{stack, task != tasks_.end() ? task->second + 1 : 0}] += site.bytes;
  }
  // Also where nothing has changed: there was a look.
  AddChanges(
      RecordType::kSites, PackedWriter().Number(audit.sites.interval_bytes), bytes_, now,
      [](PackedWriter* record, const std::pair<uint64_t, uint64_t>& site) {
        record->Number(site.first).Number(site.second);
      },
      file_);
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
    // The function that has the code, then those that were inlined there.
    const Symbol& symbol = chain.back();
    const auto generated = generated_.find(address);
    PackedWriter record;
    record.Number(address);
    record.Text(generated != generated_.end() ? generated->second : symbol.function);
    record.Text(symbol.path).Text(symbol.file).Number(LineOf(symbol)).Number(symbol.offset);
    record.Number(chain.size() - 1);
    for (size_t i = 0; i + 1 < chain.size(); ++i) {
      record.Text(chain[i].function).Text(chain[i].file).Number(LineOf(chain[i]));
    }
    file_->Add(RecordType::kSymbol, record);
  }
  addresses_.clear();
  generated_.clear();
}

void SiteFollower::ForgetAll() {
  WriteSymbols();
  stacks_.clear();
  bytes_.clear();
  mapped_.clear();
  modules_.clear();
}

}  // namespace taskmem
