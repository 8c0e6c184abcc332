#include "tools/audit/site_estimates.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "accounting/audit/sample_clock.h"
#include "accounting/audit/site_table.h"

namespace taskmem {
namespace {

// SiteTableHead and SiteSample without atomics, to be copied into.
struct Head {
  uint64_t interval_bytes;
  uint64_t levels[kSampleLevels];
  uint64_t index;
  uint64_t stacks;
  uint64_t lost_samples;
  uint64_t lost_bytes;
};
static_assert(sizeof(Head) == sizeof(SiteTableHead));

struct Sample {
  uint64_t block;
  uint64_t stack;
  uint64_t bytes;
  uint64_t weight;
};
static_assert(sizeof(Sample) == sizeof(SiteSample));

struct Stack {
  uint64_t hash;
  uint32_t depth;
  uint32_t flags;
  uint32_t number;
  uint32_t reserved;
  uint64_t older;
};
static_assert(sizeof(Stack) == sizeof(SiteStack));

void ReadStack(const RemoteMemory& memory, uint64_t address, UnloadedModules* unloaded,
               SiteEstimate* site) {
  const auto stack = memory.Read<Stack>(address);
  if (!stack || stack->depth > kMaxFrames) return;
  site->flags = stack->flags;
  site->frames = memory.ReadArray<uint64_t>(address + sizeof(Stack), stack->depth);
  for (uint64_t& frame : site->frames) frame = unloaded->AddressOf(frame);
}

}  // namespace

uint64_t SiteEstimate::ErrorBytes() const {
  return static_cast<uint64_t>(std::llround(1.96 * std::sqrt(variance)));
}

uint64_t SiteEstimates::Bytes() const {
  uint64_t bytes = 0;
  for (const SiteEstimate& site : sites) bytes += site.bytes;
  return bytes;
}

namespace {

// No sample stands for more: sums stay far from what a number can hold.
constexpr uint64_t kMostBytes = RemoteMemory::kAddressEnd;

// Sums samples up by stack and task.
class SiteSum {
 public:
  SiteSum(const RemoteMemory& memory, UnloadedModules* unloaded)
      : memory_(memory), unloaded_(unloaded) {}

  // A sample of `bytes` that stands for `weight`, at least `bytes`; both at most kMostBytes.
  void Add(uint64_t stack, uint32_t slot, uint64_t bytes, uint64_t weight) {
    constexpr size_t kMostSites = 1 << 16;
    if (by_stack_.size() >= kMostSites && !by_stack_.contains({stack, slot})) {
      ++lost_samples_;
      lost_bytes_ += weight;
      return;
    }
    SiteEstimate& site = by_stack_[{stack, slot}];
    if (site.samples == 0) ReadStack(memory_, stack, unloaded_, &site);
    site.slot = slot;
    site.bytes += weight;
    ++site.samples;
    site.variance += static_cast<double>(weight) * static_cast<double>(weight - bytes);
  }

  // The largest first.
  std::vector<SiteEstimate> Take() {
    std::vector<SiteEstimate> sites;
    for (auto& [key, site] : by_stack_) sites.push_back(std::move(site));
    std::stable_sort(sites.begin(), sites.end(), [](const SiteEstimate& a, const SiteEstimate& b) {
      return a.bytes > b.bytes;
    });
    return sites;
  }

  // Beyond the number of sites that are kept.
  uint64_t lost_samples() const { return lost_samples_; }
  uint64_t lost_bytes() const { return lost_bytes_; }

 private:
  const RemoteMemory& memory_;
  UnloadedModules* const unloaded_;
  uint64_t lost_samples_ = 0;
  uint64_t lost_bytes_ = 0;
  std::map<std::pair<uint64_t, uint32_t>, SiteEstimate> by_stack_;
};

void AddBlocks(const RemoteMemory& memory, const Head& head, AllocatorView* allocator,
               SiteSum* sum) {
  for (uint32_t level = 0; level < kSampleLevels; ++level) {
    if (head.levels[level] == 0) continue;
    constexpr uint64_t kHighestMark = 2;
    for (const Sample& sample :
         memory.ReadArray<Sample>(head.levels[level], SampleLevelSize(level))) {
      if (sample.block <= kHighestMark) continue;
      if (memory.IsTimeUp()) return;
      // Freed meanwhile, or the entry was read amid a change.
      const auto block = allocator->FindBlock(sample.block);
      if (!block || sample.weight < sample.bytes || sample.weight > kMostBytes) continue;
      sum->Add(sample.stack, block->slot, sample.bytes, sample.weight);
    }
  }
}

// Where the process has nothing in memory nothing is looked for, however long a range may be.
uint64_t ResidentBytes(const RemoteMemory& memory, const std::vector<MemoryRange>& ranges,
                       uint64_t start, uint64_t end) {
  uint64_t bytes = 0;
  auto at = std::upper_bound(
      ranges.begin(), ranges.end(), start,
      [](uint64_t address, const MemoryRange& range) { return address < range.end; });
  for (; at != ranges.end() && at->start < end; ++at) {
    if (at->resident_bytes == 0) continue;
    bytes += memory.ResidentBytes(std::max(start, at->start), std::min(end, at->end));
  }
  return bytes;
}

// What is charged of a range: its length, or what of it is resident.
uint64_t ChargedBytes(const RemoteMemory& memory, const std::vector<MemoryRange>& ranges,
                      const Mapping& range) {
  switch (range.tag.rule) {
    case ChargeRule::kLength: return range.end - range.start;
    case ChargeRule::kResidency: return ResidentBytes(memory, ranges, range.start, range.end);
    default: return 0;
  }
}

// How many bytes a byte of the sampled range stands for, by the chance that it had when it was
// made. A segment of System V is as it was made.
double TimesOfRange(const Mapping& range, uint64_t interval) {
  if (range.tag.kind != MappingClass::kSystemV) {
    return TimesOf(range.tag.serial >> MappingTag::kScaleShift);
  }
  const uint64_t length = range.end - range.start;
  if (length >= interval) return 1;
  return static_cast<double>(SampleWeight(length, interval)) / static_cast<double>(length);
}

// Of one mapping, which may have parts that differ in other things.
bool IsOneSample(const Mapping& range, const Mapping& next) {
  return range.end == next.start && range.tag.site == next.tag.site &&
         range.tag.slot == next.tag.slot && range.tag.serial == next.tag.serial;
}

// Each mapping for itself, with what is charged for it.
void AddMappings(const RemoteMemory& memory, const Head& head, const MappedRanges& mapped,
                 const std::vector<MemoryRange>& ranges, SiteSum* sum) {
  std::vector<uint64_t> stacks;
  for (size_t i = 0; i < mapped.ranges.size(); ++i) {
    const Mapping& range = mapped.ranges[i];
    if (range.tag.site == 0 || range.tag.site > kSiteIndexSize) continue;
    uint64_t bytes = ChargedBytes(memory, ranges, range);
    while (i + 1 < mapped.ranges.size() && IsOneSample(mapped.ranges[i], mapped.ranges[i + 1])) {
      bytes += ChargedBytes(memory, ranges, mapped.ranges[++i]);
    }
    if (bytes == 0) continue;
    if (stacks.empty()) stacks = memory.ReadArray<uint64_t>(head.index, kSiteIndexSize);
    if (stacks.empty()) return;
    bytes = std::min(bytes, kMostBytes);
    const double weight =
        std::min(TimesOfRange(range, head.interval_bytes) * static_cast<double>(bytes),
                 static_cast<double>(kMostBytes));
    sum->Add(stacks[range.tag.site - 1], range.tag.slot, bytes,
             std::max(static_cast<uint64_t>(std::llround(weight)), bytes));
  }
}

}  // namespace

SiteEstimates ReadSites(const RemoteMemory& memory, uint64_t head_address, AllocatorView* allocator,
                        const MappedRanges& mapped, const std::vector<MemoryRange>& ranges,
                        UnloadedModules* unloaded) {
  SiteEstimates estimates;
  const auto head = head_address != 0 ? memory.Read<Head>(head_address) : std::nullopt;
  if (!head || head->interval_bytes == 0 || head->interval_bytes > kMostBytes) return estimates;
  estimates.is_on = true;
  estimates.interval_bytes = head->interval_bytes;
  estimates.lost_samples = head->lost_samples;
  estimates.lost_bytes = head->lost_bytes;
  SiteSum sum(memory, unloaded);
  AddBlocks(memory, *head, allocator, &sum);
  AddMappings(memory, *head, mapped, ranges, &sum);
  estimates.lost_samples += sum.lost_samples();
  estimates.lost_bytes += sum.lost_bytes();
  estimates.sites = sum.Take();
  return estimates;
}

}  // namespace taskmem
