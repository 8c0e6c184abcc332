#include "tools/audit/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "accounting/tasks/task_book.h"
#include "tools/audit/claims.h"
#include "tools/audit/jvm_parts.h"
#include "tools/audit/range_rules.h"
#include "tools/base/process_info.h"
#include "tools/remote/allocator_view.h"
#include "tools/remote/audit_layout_check.h"
#include "tools/remote/mapped_ranges.h"
#include "tools/remote/module_file.h"
#include "tools/remote/perf_map.h"
#include "tools/remote/remote_memory.h"
#include "tools/remote/shares.h"
#include "tools/remote/thread_stacks.h"
#include "tools/remote/unloaded_modules.h"

namespace taskmem {
namespace {

constexpr char kPagesLabel[] = "pages";

class Auditor {
 public:
  Auditor(const ProcessBooks& books, const MappedRanges& mapped_before,
          std::vector<MemoryRange> ranges, const RemoteMemory& memory)
      : books_(books),
        ranges_(std::move(ranges)),
        memory_(memory),
        allocator_(memory_, books.layout),
        modules_(FindModules(ranges_, memory_)),
        mapped_(ReadMappedRanges(memory_, books.layout)) {
    claims_.AddOwnRanges(memory_, books.layout);
    claims_.AddModules(modules_);
    // What came or went while the kernel's figures were read is in one of the two.
    const std::vector<JvmPart> jvm = FindJvmParts(modules_, memory_);
    claims_.AddMappings(mapped_, jvm);
    claims_.AddMappings(mapped_before, jvm);
    // The last: what the program mapped itself stays that where a thread has it as its stack.
    claims_.AddStacks(FindThreadStacks(ranges_, memory_, books.layout));
    for (const MemoryRange& range : ranges_) Split(range);
    facts_ = CollectFacts(pieces_, modules_, books.path);
  }

  Audit Run() {
    audit_.pid = books_.pid;
    audit_.program = books_.program;
    audit_.title = books_.title;
    audit_.allocators = books_.allocators;
    for (size_t i = 0; i < pieces_.size(); ++i) AddPiece(i);
    std::stable_sort(audit_.unknown.begin(), audit_.unknown.end(),
                     [](const MemoryRange& a, const MemoryRange& b) {
                       return a.resident_bytes > b.resident_bytes;
                     });
    NameTasks();
    UnloadedModules unloaded(memory_, books_.layout.unloaded);
    audit_.sites =
        ReadSites(memory_, books_.layout.sites, &allocator_, mapped_, ranges_, &unloaded);
    audit_.modules = modules_;
    for (Module& module : unloaded.modules()) audit_.modules.push_back(std::move(module));
    FindNames();
    audit_.is_cut_short = memory_.IsTimeUp();
    return std::move(audit_);
  }

 private:
  void Count(LedgerClass ledger_class, uint32_t slot, const std::string& label, uint64_t bytes) {
    if (bytes == 0) return;
    audit_.classes[static_cast<size_t>(ledger_class)] += bytes;
    audit_.kinds[{ledger_class, label}] += bytes;
    if (ledger_class == LedgerClass::kTaskPages) task_bytes_[slot].pages += bytes;
    if (ledger_class == LedgerClass::kTaskMappings) task_bytes_[slot].mappings += bytes;
  }

  // The kernel joins neighbours whoever they are: cuts a range where its claims begin and end.
  // What of it is resident is divided; the sum stays the kernel's.
  void Split(const MemoryRange& range) {
    std::vector<Claim> claims =
        range.resident_bytes != 0 ? claims_.In(range.start, range.end) : std::vector<Claim>();
    // Each piece of a file has its name.
    constexpr size_t kMostPieces = 1 << 20;
    constexpr size_t kMostNameBytes = size_t{64} << 20;
    const size_t more = 2 * claims.size() + 1;
    if (pieces_.size() + more > kMostPieces || more * range.name.size() > kMostNameBytes) {
      claims.clear();
    }
    const size_t first = pieces_.size();
    uint64_t at = range.start;
    const auto add = [&](uint64_t end, const Claim& claim) {
      if (at >= end) return;
      MemoryRange& piece = pieces_.emplace_back(range);
      piece.start = at;
      piece.end = end;
      claimed_.push_back(claim);
      at = end;
    };
    for (const Claim& claim : claims) {
      add(claim.start, Claim());
      add(claim.end, claim);
    }
    add(range.end, Claim());
    const size_t count = pieces_.size() - first;
    if (count == 1) return;
    std::vector<LedgerShare> shares(count);
    std::vector<LedgerShare> doubtful(count);
    size_t rest_to = 0;
    for (size_t i = 0; i < count; ++i) {
      const MemoryRange& piece = pieces_[first + i];
      const RemoteMemory::Residency residency = memory_.CountResident(piece.start, piece.end);
      shares[i].bytes = residency.bytes;
      doubtful[i].bytes = residency.maybe_bytes;
      // What came meanwhile is most likely nobody's yet.
      if (claimed_[first + i].label == nullptr) rest_to = i;
    }
    const uint64_t left = FitShares(range.resident_bytes, shares.data(), count);
    shares[rest_to].bytes += FitShares(left, doubtful.data(), count);
    for (size_t i = 0; i < count; ++i) {
      pieces_[first + i].resident_bytes = shares[i].bytes + doubtful[i].bytes;
    }
  }

  void AddPiece(size_t index) {
    const MemoryRange& piece = pieces_[index];
    audit_.resident_bytes += piece.resident_bytes;
    if (piece.resident_bytes == 0) return;
    if (const Claim& claim = claimed_[index]; claim.label != nullptr) {
      Count(claim.ledger_class, claim.slot, *claim.label, piece.resident_bytes);
      return;
    }
    Shares pages;
    allocator_.AddShares(piece.start, piece.end, &pages);
    std::vector<LedgerShare> shares;
    for (const auto& [key, bytes] : pages.bytes) {
      shares.push_back({bytes, key.slot, key.ledger_class});
    }
    const uint64_t rest = FitShares(piece.resident_bytes, shares.data(), shares.size());
    auto share = shares.begin();
    for (const auto& [key, bytes] : pages.bytes) {
      Count(key.ledger_class, key.slot, kPagesLabel, share->bytes);
      if (key.ledger_class == LedgerClass::kTaskPages && share->bytes != 0) {
        task_bytes_[key.slot].sizes[key.size_class] += share->bytes;
      }
      ++share;
    }
    if (rest == 0) return;
    if (pages.covered_bytes >= piece.bytes()) {
      // What came while it was looked at is nobody's yet.
      Count(LedgerClass::kAllocatorSlack, kUntrackedSlot, kPagesLabel, rest);
      return;
    }
    const RangeRule& rule = ClassifyRange(facts_, index);
    Count(rule.ledger_class, kUntrackedSlot, rule.label, rest);
    if (rule.ledger_class == LedgerClass::kUnknown) {
      audit_.unknown.push_back(piece);
      audit_.unknown.back().resident_bytes = rest;
    }
  }

  // What only a live process has.
  void FindNames() {
    std::set<uint64_t> frames;
    for (const SiteEstimate& site : audit_.sites.sites) {
      frames.insert(site.frames.begin(), site.frames.end());
    }
    const std::vector<uint64_t> addresses(frames.begin(), frames.end());
    HoldModuleFiles(books_.pid, memory_, addresses, &audit_.modules);
    std::vector<uint64_t> generated;
    for (const uint64_t address : addresses) {
      if (FindModule(audit_.modules, address - 1) == nullptr) generated.push_back(address);
    }
    audit_.generated = NamesOfGeneratedCode(books_.pid, generated);
  }

  void NameTasks() {
    for (uint32_t slot = kEndedTasksSlot; slot < books_.slots.size(); ++slot) {
      const ProcessBooks::Slot& known = books_.slots[slot];
      const auto found = task_bytes_.find(slot);
      TaskBytes bytes = found != task_bytes_.end() ? std::move(found->second) : TaskBytes();
      if (found == task_bytes_.end() && known.charged_bytes == 0) continue;
      TaskAudit& task = audit_.tasks.emplace_back();
      task.slot = slot;
      task.id = known.id;
      task.name = known.name;
      task.has_ended = known.has_ended;
      task.charged_bytes = known.charged_bytes;
      task.page_bytes = bytes.pages;
      task.mapping_bytes = bytes.mappings;
      task.sizes = std::move(bytes.sizes);
      if (found != task_bytes_.end()) task_bytes_.erase(found);
    }
    // Begun since the books were read.
    for (auto& [slot, bytes] : task_bytes_) {
      TaskAudit& task = audit_.tasks.emplace_back();
      task.slot = slot;
      task.name = "new";
      task.page_bytes = bytes.pages;
      task.mapping_bytes = bytes.mappings;
      task.sizes = std::move(bytes.sizes);
    }
    std::stable_sort(audit_.tasks.begin(), audit_.tasks.end(),
                     [](const TaskAudit& a, const TaskAudit& b) {
                       return a.page_bytes + a.mapping_bytes > b.page_bytes + b.mapping_bytes;
                     });
  }

  const ProcessBooks& books_;
  const std::vector<MemoryRange> ranges_;
  const RemoteMemory& memory_;
  AllocatorView allocator_;
  const std::vector<Module> modules_;
  const MappedRanges mapped_;
  Claims claims_;
  std::vector<MemoryRange> pieces_;  // of the ranges, in order
  std::vector<Claim> claimed_;       // by piece; without a label: none
  ProcessFacts facts_;
  struct TaskBytes {
    uint64_t pages = 0;
    uint64_t mappings = 0;
    std::map<uint64_t, uint64_t> sizes;  // of pages, by the block's size
  };
  std::map<uint32_t, TaskBytes> task_bytes_;  // by slot
  Audit audit_;
};

// One look.
std::optional<Audit> Look(const ProcessBooks& books, const RemoteMemory& memory,
                          std::string* error) {
  const MappedRanges mapped = ReadMappedRanges(memory, books.layout);
  auto ranges = ReadSmaps(books.pid);
  if (!ranges || ranges->empty()) {
    const bool has_ended = ranges || errno == ENOENT || errno == ESRCH;
    *error =
        has_ended
            ? fmt::format("process {} has ended", books.pid)
            : fmt::format("cannot read /proc/{}/smaps ({}): be the owner of the process, or root",
                          books.pid, strerror(errno));
    return std::nullopt;
  }
  if (!memory.Read<uint32_t>(books.layout.own_range_count)) {
    if (errno == ESRCH) {
      *error = fmt::format("process {} has ended", books.pid);
      return std::nullopt;
    }
    *error = fmt::format(
        "cannot read the memory of process {} ({}): be its owner or root; where "
        "/proc/sys/kernel/yama/ptrace_scope is not 0, root",
        books.pid, strerror(errno));
    return std::nullopt;
  }
  return AuditMemory(books, mapped, *std::move(ranges), memory);
}

bool IsMuchUnknown(const Audit& audit) {
  return audit.Bytes(LedgerClass::kUnknown) > audit.resident_bytes / 256;
}

bool HaveSameUnknown(const Audit& a, const Audit& b) {
  return std::equal(a.unknown.begin(), a.unknown.end(), b.unknown.begin(), b.unknown.end(),
                    [](const MemoryRange& x, const MemoryRange& y) {
                      return x.start == y.start && x.end == y.end;
                    });
}

}  // namespace

Audit AuditMemory(const ProcessBooks& books, const MappedRanges& mapped_before,
                  std::vector<MemoryRange> ranges, const RemoteMemory& memory) {
  return Auditor(books, mapped_before, std::move(ranges), memory).Run();
}

std::optional<Audit> TakeAudit(const ProcessBooks& books, std::string* error) {
  // What was given back between the kernel's figures and the tables is claimed by nobody. It is
  // gone at the next look; what is unknown indeed is there again.
  constexpr int kMostLooks = 4;
  if (!IsPlausible(books.layout)) {
    *error = fmt::format("process {} says nothing of its tables that can be true", books.pid);
    return std::nullopt;
  }
  const RemoteMemory memory(books.pid);
  std::optional<Audit> audit = Look(books, memory, error);
  for (int i = 1; i < kMostLooks && audit && IsMuchUnknown(*audit) && !memory.IsTimeUp(); ++i) {
    std::optional<Audit> again = Look(books, memory, error);
    if (!again || again->is_cut_short) break;  // it has ended, or takes too long
    const bool is_settled = HaveSameUnknown(*audit, *again);
    audit = std::move(again);
    if (is_settled) break;
  }
  return audit;
}

}  // namespace taskmem
