#include "tools/remote/thread_stacks.h"

#include <algorithm>
#include <set>

#include "accounting/base/round_up.h"

namespace taskmem {
namespace {

// glibc's struct pthread ends a stack: less than a page, at a multiple of 64 bytes. Its first
// and third words point to itself.
constexpr uint64_t kDescriptorBytes = 0x900;
constexpr uint64_t kDescriptorAlignment = 64;
constexpr uint64_t kSelfAt = 16;

bool CanBeStack(const MemoryRange& range) {
  return range.readable && range.writable && !range.shared && range.inode == 0 &&
         range.name.empty();
}

// The descriptor in the last pages of a range that lies above a guard. 0: there is none.
uint64_t FindDescriptor(const RemoteMemory& memory, const MemoryRange& range) {
  constexpr uint64_t kSearched = 2 * kPageBytes;
  const uint64_t start = range.end - std::min(kSearched, range.bytes());
  const auto words = memory.ReadArray<uint64_t>(start, (range.end - start) / sizeof(uint64_t));
  constexpr size_t kStep = kDescriptorAlignment / sizeof(uint64_t);
  for (size_t i = words.size() / kStep; i-- > 0;) {
    const uint64_t address = start + i * kDescriptorAlignment;
    const uint64_t* at = &words[i * kStep];
    if (at[0] == address && at[kSelfAt / sizeof(uint64_t)] == address) return address;
  }
  return 0;
}

std::set<uint64_t> LiveThreads(const RemoteMemory& memory, const AuditLayout& layout) {
  constexpr uint32_t kMostContexts = 1 << 17;
  std::set<uint64_t> tops;
  const uint32_t count = memory.Read<uint32_t>(layout.context_count).value_or(0);
  if (count > kMostContexts) return tops;
  for (const uint64_t context : memory.ReadArray<uint64_t>(layout.contexts, count)) {
    const int32_t tid = memory.Read<int32_t>(context + layout.context_tid_at).value_or(0);
    if (tid <= 0) continue;
    tops.insert(memory.Read<uint64_t>(context + layout.context_stack_top_at).value_or(0));
  }
  return tops;
}

}  // namespace

std::vector<StackRange> FindThreadStacks(const std::vector<MemoryRange>& ranges,
                                         const RemoteMemory& memory, const AuditLayout& layout) {
  std::set<uint64_t> descriptors = LiveThreads(memory, layout);
  for (size_t i = 1; i < ranges.size(); ++i) {
    const MemoryRange& below = ranges[i - 1];
    const bool has_guard = below.end == ranges[i].start && !below.readable && !below.writable;
    if (!has_guard || !CanBeStack(ranges[i]) || ranges[i].resident_bytes == 0) continue;
    if (const uint64_t descriptor = FindDescriptor(memory, ranges[i])) {
      descriptors.insert(descriptor);
    }
  }
  std::vector<StackRange> stacks;
  for (const uint64_t descriptor : descriptors) {
    const auto after =
        std::upper_bound(ranges.begin(), ranges.end(), descriptor,
                         [](uint64_t at, const MemoryRange& range) { return at < range.start; });
    if (after == ranges.begin()) continue;
    const MemoryRange& range = *std::prev(after);
    if (!range.Contains(descriptor) || !CanBeStack(range)) continue;
    const uint64_t end = RoundUp(descriptor + kDescriptorBytes, kPageBytes);
    uint64_t start = range.start;
    if (!stacks.empty()) start = std::max(start, stacks.back().end);
    if (start < std::min(end, range.end)) stacks.push_back({start, std::min(end, range.end)});
  }
  return stacks;
}

}  // namespace taskmem
