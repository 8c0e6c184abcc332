// The last audit of a process, taken by the `taskmem run --audit` that started it
// (accounting/audit/exit_audit_protocol.h).
#ifndef TASKMEM_SHIM_PROCESS_EXIT_AUDIT_H_
#define TASKMEM_SHIM_PROCESS_EXIT_AUDIT_H_

namespace taskmem {

// Once, at the start: finds out whether somebody audits this process.
void OpenExitAudit();
bool HasExitAuditor();

// As the process ends: waits until it has been audited; a bounded time, and not at all where
// nobody audits it. At most the first call waits.
void AwaitExitAudit();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PROCESS_EXIT_AUDIT_H_
