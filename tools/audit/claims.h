// Parts of an address space of which it is known what they are, and whose.
#ifndef TASKMEM_TOOLS_AUDIT_CLAIMS_H_
#define TASKMEM_TOOLS_AUDIT_CLAIMS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "accounting/audit/ledger.h"
#include "tools/audit/jvm_parts.h"
#include "tools/remote/mapped_ranges.h"
#include "tools/remote/modules.h"
#include "tools/remote/remote_memory.h"
#include "tools/remote/thread_stacks.h"

namespace taskmem {

struct Claim {
  uint64_t start = 0;
  uint64_t end = 0;
  LedgerClass ledger_class = LedgerClass::kUnknown;
  uint32_t slot = 0;  // the task's, for the classes that have one
  const std::string* label = nullptr;

  bool IsLike(const Claim& other) const {
    return ledger_class == other.ledger_class && slot == other.slot && label == other.label;
  }
};

// Claims without overlaps: what was added first has it.
class Claims {
 public:
  Claims() = default;
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  // What is free of [start, end).
  void Add(uint64_t start, uint64_t end, LedgerClass ledger_class, uint32_t slot,
           const std::string& label);

  void AddOwnRanges(const RemoteMemory& memory, const AuditLayout& layout);
  void AddModules(const std::vector<Module>& modules);
  // `jvm`: parts of what a JVM has mapped; where they overlap the first has it.
  void AddMappings(const MappedRanges& mapped, const std::vector<JvmPart>& jvm = {});
  void AddStacks(const std::vector<StackRange>& stacks);

  // Those in [start, end), cut to it, in order; neighbours of one kind are one. They point to
  // labels of this object.
  std::vector<Claim> In(uint64_t start, uint64_t end) const;

 private:
  std::map<uint64_t, Claim> claims_;  // by start
  std::set<std::string> labels_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_CLAIMS_H_
