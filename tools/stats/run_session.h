// One `taskmem run`: its name, and the process that it started.
#ifndef TASKMEM_TOOLS_STATS_RUN_SESSION_H_
#define TASKMEM_TOOLS_STATS_RUN_SESSION_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace taskmem {

// A name for one `taskmem run`, unique on this machine, which tells whether
// that run still lives. Less than 64 bytes.
std::string NewSession();
bool IsSessionAlive(const std::string& session);

// The process that `parent` started in the session, while it lives.
struct WatchedProcess {
  pid_t pid = 0;
  std::string path;              // of its stats file
  bool waits_for_audit = false;  // it is ending (accounting/audit/exit_audit_protocol.h)
};
std::optional<WatchedProcess> FindChildOf(const std::vector<std::string>& dirs,
                                          const std::string& session, pid_t parent);

// Lets a process that waits for its audit end.
void ReleaseFromAudit(const WatchedProcess& process);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_RUN_SESSION_H_
