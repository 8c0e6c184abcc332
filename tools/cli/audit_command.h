// `taskmem audit`: says who holds each resident byte of a running process.
#ifndef TASKMEM_TOOLS_CLI_AUDIT_COMMAND_H_
#define TASKMEM_TOOLS_CLI_AUDIT_COMMAND_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace taskmem {

inline constexpr size_t kDefaultSites = 10;

struct AuditRequest {
  pid_t pid = 0;
  bool as_json = false;
  std::string output_file;  // empty: standard output
  bool by_module = false;
  size_t sites = kDefaultSites;  // shown in the table; files have all of them
  std::string collapsed_file;    // empty: none
  std::string pprof_file;
};

// Prints the audit and writes the files asked for. Ends the process with one line where that
// cannot be done. Returns the exit status.
int AuditCommand(const AuditRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_AUDIT_COMMAND_H_
