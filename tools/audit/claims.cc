#include "tools/audit/claims.h"

#include <algorithm>

#include "accounting/base/round_up.h"
#include "accounting/tasks/task_book.h"

namespace taskmem {
namespace {

constexpr char kTaskmemFile[] = "libtaskmem.so";

// Files are what the kernel says they are, until they are written to in private.
bool IsOfProgram(const MappingTag& tag) {
  switch (tag.kind) {
    case MappingClass::kFileShared: return false;
    case MappingClass::kFilePrivate:
    case MappingClass::kSystemV:
      return tag.rule == ChargeRule::kLength || tag.rule == ChargeRule::kResidency;
    default: return true;
  }
}

bool IsStorage(const MappingTag& tag) {
  return tag.slot == kStorageSlot && tag.rule == ChargeRule::kShown;
}

LedgerClass ClassOf(const MappingTag& tag, Allocator allocator) {
  if (IsRuntime(allocator)) return LedgerClass::kManagedHeap;
  return tag.slot == kUntrackedSlot ? LedgerClass::kUntrackedMappings : LedgerClass::kTaskMappings;
}

std::string LabelOf(const MappingTag& tag, const MappingLibrary& library) {
  if (library.allocator == Allocator::kJvm) {
    // ZGC's heap, wherever it is mapped, is the one memory file of a JVM.
    return tag.kind == MappingClass::kSharedAnonymous ? "JVM heap" : "JVM tables";
  }
  // Number 0: who called could not be told.
  const std::string name =
      tag.library == 0 || library.name.empty() ? "an unnamed caller" : library.name;
  if (IsStorage(tag)) return "cached blocks";
  switch (tag.kind) {
    case MappingClass::kBreak: return "brk heap of " + name;
    case MappingClass::kSharedAnonymous:
    case MappingClass::kSystemV: return "shared memory of " + name;
    default: return name;
  }
}

}  // namespace

void Claims::Add(uint64_t start, uint64_t end, LedgerClass ledger_class, uint32_t slot,
                 const std::string& label) {
  const std::string* const kept = &*labels_.insert(label).first;
  auto next = claims_.upper_bound(start);
  if (next != claims_.begin()) start = std::max(start, std::prev(next)->second.end);
  while (start < end) {
    const uint64_t free_end = next != claims_.end() ? std::min(end, next->first) : end;
    if (start < free_end) {
      claims_.emplace_hint(next, start, Claim{start, free_end, ledger_class, slot, kept});
    }
    if (next == claims_.end()) return;
    start = next->second.end;
    ++next;
  }
}

void Claims::AddOwnRanges(const RemoteMemory& memory, const AuditLayout& layout) {
  struct Range {
    uint64_t start;
    uint64_t end;
  };
  static_assert(sizeof(Range) == sizeof(OwnRange));
  constexpr uint32_t kMostRanges = 1 << 20;
  const uint32_t count = memory.Read<uint32_t>(layout.own_range_count).value_or(0);
  auto ranges = memory.ReadArray<Range>(layout.own_ranges, std::min(count, kMostRanges));
  // In order and each address once: adding them costs no more than their number.
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.start < b.start; });
  uint64_t added_end = 0;
  for (const Range& range : ranges) {
    if (range.end > RemoteMemory::kAddressEnd) continue;
    const uint64_t start = std::max(range.start, added_end);
    if (start >= range.end) continue;  // free, or being filled in
    const uint64_t end = RoundUp(range.end, kPageBytes);
    Add(start, end, LedgerClass::kOwn, kUntrackedSlot, "tables");
    added_end = end;
  }
}

void Claims::AddModules(const std::vector<Module>& modules) {
  // What a module has of zeroed data follows its file, often in one range with others' memory.
  for (const Module& module : modules) {
    const bool is_own = IsPreloadLibrary(module.Name());
    Add(module.start, module.end, is_own ? LedgerClass::kOwn : LedgerClass::kImages, kUntrackedSlot,
        is_own ? kTaskmemFile : "programs and libraries");
  }
}

void Claims::AddMappings(const MappedRanges& mapped, const std::vector<JvmPart>& jvm) {
  for (const Mapping& range : mapped.ranges) {
    if (!IsOfProgram(range.tag)) continue;
    const MappingLibrary& library = mapped.LibraryOf(range.tag);
    const LedgerClass ledger_class = ClassOf(range.tag, library.allocator);
    if (library.allocator == Allocator::kJvm) {
      for (const JvmPart& part : jvm) {
        Add(std::max(range.start, part.start), std::min(range.end, part.end), ledger_class,
            kUntrackedSlot, part.label);
      }
    }
    Add(range.start, range.end, ledger_class,
        ledger_class == LedgerClass::kTaskMappings ? range.tag.slot : kUntrackedSlot,
        LabelOf(range.tag, library));
  }
}

void Claims::AddStacks(const std::vector<StackRange>& stacks) {
  for (const StackRange& stack : stacks) {
    Add(stack.start, stack.end, LedgerClass::kThreadStacks, kUntrackedSlot, "stacks of threads");
  }
}

std::vector<Claim> Claims::In(uint64_t start, uint64_t end) const {
  std::vector<Claim> found;
  auto claim = claims_.upper_bound(start);
  if (claim != claims_.begin()) --claim;
  for (; claim != claims_.end() && claim->first < end; ++claim) {
    Claim cut = claim->second;
    cut.start = std::max(cut.start, start);
    cut.end = std::min(cut.end, end);
    if (cut.start >= cut.end) continue;
    if (!found.empty() && found.back().end == cut.start && found.back().IsLike(cut)) {
      found.back().end = cut.end;
    } else {
      found.push_back(cut);
    }
  }
  return found;
}

}  // namespace taskmem
