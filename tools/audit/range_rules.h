// What a range of memory is that no table of taskmem names: a table of rules over what the
// kernel says of it and of its neighbours. The first rule that holds decides.
#ifndef TASKMEM_TOOLS_AUDIT_RANGE_RULES_H_
#define TASKMEM_TOOLS_AUDIT_RANGE_RULES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "accounting/audit/ledger.h"
#include "tools/remote/modules.h"
#include "tools/remote/smaps.h"

namespace taskmem {

// What the rules ask, of the whole process.
struct ProcessFacts {
  const std::vector<MemoryRange>* ranges = nullptr;
  const std::vector<Module>* modules = nullptr;
  std::string stats_file;  // the process's own; empty: it has none
};

ProcessFacts CollectFacts(const std::vector<MemoryRange>& ranges,
                          const std::vector<Module>& modules, std::string stats_file);

struct RangeRule {
  const char* label;  // shown: "brk heap"
  LedgerClass ledger_class;
  bool (*holds)(const ProcessFacts& facts, size_t index);  // of facts.ranges[index]
};

extern const RangeRule kRangeRules[];
extern const size_t kRangeRuleCount;

// The last rule always holds.
const RangeRule& ClassifyRange(const ProcessFacts& facts, size_t index);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_RANGE_RULES_H_
