// How a process that ends lets `taskmem run --audit` look at it once more: in its stats
// segment it says that it waits, and goes on when it has been looked at, or nobody comes.
#ifndef TASKMEM_ACCOUNTING_AUDIT_EXIT_AUDIT_PROTOCOL_H_
#define TASKMEM_ACCOUNTING_AUDIT_EXIT_AUDIT_PROTOCOL_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

enum class ExitAudit : uint32_t { kNone = 0, kWaiting = 1, kDone = 2 };

// The variable that tells the program, by the process id of the `taskmem run` that started it,
// to wait. Its children inherit it and are not meant: it is not their parent.
inline constexpr char kExitAuditVariable[] = "TASKMEM_AUDITED_BY";

// How long a process waits at most.
inline constexpr int64_t kExitAuditWaitNs = 10'000'000'000;

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_EXIT_AUDIT_PROTOCOL_H_
