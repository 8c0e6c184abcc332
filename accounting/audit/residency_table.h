// What each task is charged by residency, in the memory of the process: whoever looks from outside
// what of it is in memory now (tools/remote/resident_now.h) takes it for what stands in the books.
#ifndef TASKMEM_ACCOUNTING_AUDIT_RESIDENCY_TABLE_H_
#define TASKMEM_ACCOUNTING_AUDIT_RESIDENCY_TABLE_H_

#include <atomic>
#include <cstdint>

#include "accounting/tasks/task_book.h"

namespace taskmem {

struct ResidencyTable {
  // Odd while the table, or what of it is in the books, changes. A reader that has found the same
  // even number before and after it has read both has read what belongs together.
  std::atomic<uint64_t> changes;
  std::atomic<uint64_t> charged_bytes[kMaxTaskSlots];
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_RESIDENCY_TABLE_H_
