#include "tools/remote/resident_now.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "accounting/audit/residency_table.h"
#include "tools/remote/mapped_ranges.h"
#include "tools/remote/smaps.h"

namespace taskmem {
namespace {

bool IsShared(const MappingTag& tag) {
  return tag.kind == MappingClass::kSharedAnonymous || tag.kind == MappingClass::kSystemV;
}

// Pages of memory objects, each counted once wherever it is mapped.
class SharedPages {
 public:
  explicit SharedPages(const RemoteMemory& memory) : memory_(memory) {}

  // [start, end) of `line`, which the slot has.
  void Add(const MemoryRange& line, uint64_t start, uint64_t end, uint32_t slot) {
    // Of all objects together; what lies beyond is not counted.
    constexpr uint64_t kMostPages = uint64_t{1} << 28;
    const uint64_t first = line.offset / kPageBytes + (start - line.start) / kPageBytes;
    const uint64_t count = (end - start) / kPageBytes;
    if (first > kMostPages || count > kMostPages - first) return;
    Object& object = objects_[{line.inode, line.name}];
    if (object.is_new) {
      object.is_new = false;
      object.slot = slot;
    }
    // Whose it is depends on who was seen with it first.
    if (object.slot != slot) object.is_ambiguous = true;
    if (first + count > object.is_resident.size()) {
      const uint64_t more = first + count - object.is_resident.size();
      if (more > kMostPages - pages_) return;
      pages_ += more;
      object.is_resident.resize(first + count);
    }
    const std::vector<bool> here = memory_.ResidentPages(start, end);
    for (size_t i = 0; i < here.size(); ++i) {
      if (here[i]) object.is_resident[first + i] = true;
    }
  }

  void AddTo(std::vector<uint64_t>* found) const {
    for (const auto& [key, object] : objects_) {
      if (object.is_ambiguous) continue;
      const auto pages = std::count(object.is_resident.begin(), object.is_resident.end(), true);
      (*found)[object.slot] += static_cast<uint64_t>(pages) * kPageBytes;
    }
  }

 private:
  struct Object {
    bool is_new = true;
    bool is_ambiguous = false;
    uint32_t slot = 0;
    std::vector<bool> is_resident;
  };

  const RemoteMemory& memory_;
  std::map<std::pair<uint64_t, std::string>, Object> objects_;  // by inode, and name: that of
                                                                // System V memory may be 0
  uint64_t pages_ = 0;
};

void CountShared(pid_t pid, const RemoteMemory& memory, const std::vector<Mapping>& shared,
                 std::vector<uint64_t>* found) {
  const auto lines = ReadMaps(pid);
  if (!lines) return;
  SharedPages pages(memory);
  auto line = lines->begin();
  for (const Mapping& range : shared) {
    while (line != lines->end() && line->end <= range.start) ++line;
    for (auto at = line; at != lines->end() && at->start < range.end; ++at) {
      if (!at->shared) continue;
      pages.Add(*at, std::max(at->start, range.start), std::min(at->end, range.end),
                range.tag.slot);
    }
  }
  pages.AddTo(found);
}

}  // namespace

std::optional<uint64_t> ResidencyChanges(const RemoteMemory& memory, const AuditLayout& layout) {
  const auto changes = memory.Read<uint64_t>(layout.residency + offsetof(ResidencyTable, changes));
  return changes && *changes % 2 == 0 ? changes : std::nullopt;
}

std::optional<ResidentNow> LookAtResident(pid_t pid, const RemoteMemory& memory,
                                          const AuditLayout& layout, uint32_t slots) {
  if (layout.version != kAuditVersion || layout.residency == 0 || slots > kMaxTaskSlots) {
    return std::nullopt;
  }
  const auto changes = ResidencyChanges(memory, layout);
  if (!changes) return std::nullopt;
  const auto charged =
      memory.ReadArray<uint64_t>(layout.residency + offsetof(ResidencyTable, charged_bytes), slots);
  const auto range_bytes = memory.Read<uint64_t>(layout.residency_range_bytes);
  if (charged.size() != slots || !range_bytes) return std::nullopt;
  const bool is_charged =
      std::any_of(charged.begin(), charged.end(), [](uint64_t bytes) { return bytes != 0; });
  if (*range_bytes == 0 && !is_charged) return ResidentNow{*changes, {}};

  std::vector<uint64_t> found(slots);
  std::vector<bool> may_have_more(slots);  // than is found
  std::vector<Mapping> shared;
  for (const Mapping& range : ReadMappedRanges(memory, layout).ranges) {
    const MappingTag& tag = range.tag;
    if (tag.rule != ChargeRule::kResidency || tag.slot >= slots) continue;
    if (IsShared(tag)) {
      shared.push_back(range);
      may_have_more[tag.slot] = true;
      continue;
    }
    // It may have grown below what is known.
    if (tag.grows_down) may_have_more[tag.slot] = true;
    found[tag.slot] += tag.kind == MappingClass::kFilePrivate
                           ? memory.WrittenBytes(range.start, range.end)
                           : memory.ResidentBytes(range.start, range.end);
  }
  if (!shared.empty()) CountShared(pid, memory, shared, &found);
  if (memory.IsTimeUp() || ResidencyChanges(memory, layout) != changes) return std::nullopt;

  ResidentNow now = {*changes, {}};
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (charged[slot] >= RemoteMemory::kAddressEnd || found[slot] >= RemoteMemory::kAddressEnd) {
      return std::nullopt;
    }
    const auto more = static_cast<int64_t>(found[slot]) - static_cast<int64_t>(charged[slot]);
    if (more == 0 || (more < 0 && may_have_more[slot])) continue;
    now.more_bytes.resize(slots);
    now.more_bytes[slot] = more;
  }
  return now;
}

}  // namespace taskmem
