#include "shim/process/exit_audit.h"

#include <linux/futex.h>
#include <time.h>

#include <cstdlib>

#include "accounting/audit/exit_audit_protocol.h"
#include "shim/base/environment.h"
#include "shim/base/os.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

long g_auditor = 0;  // 0: nobody audits

}  // namespace

void OpenExitAudit() {
  const char* auditor = EnvironmentVariable(kExitAuditVariable);
  if (auditor == nullptr) return;
  const long pid = strtol(auditor, nullptr, 10);
  if (pid > 0 && pid == os::Call(SYS_getppid)) g_auditor = pid;
}

bool HasExitAuditor() { return g_auditor != 0; }

void AwaitExitAudit() {
  // Once: exit may be called in more than one way, and a forked child is not meant.
  if (g_auditor == 0 || g_stats->pid != static_cast<uint32_t>(os::ProcessId())) return;
  const long auditor = g_auditor;
  g_auditor = 0;
  std::atomic<ExitAudit>& state = g_stats->exit_audit;
  state.store(ExitAudit::kWaiting, std::memory_order_release);
  const uint64_t start_ns = os::MonotonicNs();
  while (state.load(std::memory_order_acquire) == ExitAudit::kWaiting &&
         os::MonotonicNs() - start_ns < static_cast<uint64_t>(kExitAuditWaitNs) &&
         os::Call(SYS_getppid) == auditor) {
    struct timespec timeout = {0, 100'000'000};
    os::Call(SYS_futex, reinterpret_cast<long>(&state), FUTEX_WAIT,
             static_cast<long>(ExitAudit::kWaiting), reinterpret_cast<long>(&timeout));
  }
}

}  // namespace taskmem
