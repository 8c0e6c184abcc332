// What is known of the resident bytes of a range, summed up by class and task.
#ifndef TASKMEM_TOOLS_REMOTE_SHARES_H_
#define TASKMEM_TOOLS_REMOTE_SHARES_H_

#include <cstdint>
#include <map>
#include <utility>

#include "accounting/audit/ledger.h"

namespace taskmem {

struct Shares {
  std::map<std::pair<LedgerClass, uint32_t>, uint64_t> bytes;  // by class and task slot
  uint64_t covered_bytes = 0;                                  // of address space, resident or not

  void Add(LedgerClass ledger_class, uint32_t slot, uint64_t resident_bytes) {
    if (resident_bytes != 0) bytes[{ledger_class, slot}] += resident_bytes;
  }
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_SHARES_H_
