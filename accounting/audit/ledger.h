// The ledger of the audit: every resident byte of a process stands in one class, and the
// classes add up to the kernel's figure, to the byte.
//
//   resident of a range (the kernel's)  =  shares of that range  +  remainder
//
// The kernel's figures come from one reading; what the process tells of itself is read while
// it runs on, so the shares of a range may not fit it any more. FitShares makes them fit: what
// is too much is taken from all in proportion, what is missing is a share of its own. So the
// sums are exact whatever the process did meanwhile.
#ifndef TASKMEM_ACCOUNTING_AUDIT_LEDGER_H_
#define TASKMEM_ACCOUNTING_AUDIT_LEDGER_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

enum class LedgerClass : uint8_t {
  kTaskPages,
  kUntrackedPages,
  kAllocatorSlack,  // the allocator has it, and it is in no block and no task's page
  kTaskMappings,
  kUntrackedMappings,
  kThreadStacks,
  kImages,
  kFileMappings,
  kManagedHeap,
  kOwn,
  kUnknown,
};
inline constexpr size_t kLedgerClasses = static_cast<size_t>(LedgerClass::kUnknown) + 1;

// "task_pages": the key in JSON; and "task pages": for people.
const char* LedgerClassKey(LedgerClass ledger_class);
const char* LedgerClassName(LedgerClass ledger_class);

// A part of a range's resident bytes.
struct LedgerShare {
  uint64_t bytes = 0;
  uint32_t slot = 0;  // the task's, for the classes that have one
  LedgerClass ledger_class = LedgerClass::kUnknown;
};

// Lowers `shares` in proportion until they sum up to no more than `resident_bytes`. Returns
// what of that no share has. A share never grows.
uint64_t FitShares(uint64_t resident_bytes, LedgerShare* shares, size_t count);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_LEDGER_H_
