// What the user asked for: the command line of `taskmem`.
#ifndef TASKMEM_TOOLS_CLI_COMMAND_LINE_H_
#define TASKMEM_TOOLS_CLI_COMMAND_LINE_H_

#include <sys/types.h>

#include <string>
#include <variant>

#include "tools/cli/audit_command.h"
#include "tools/cli/doctor_command.h"
#include "tools/cli/metrics_command.h"
#include "tools/cli/record_command.h"
#include "tools/cli/report_command.h"
#include "tools/cli/run_command.h"
#include "tools/cli/set_command.h"
#include "tools/cli/simulate_command.h"
#include "tools/cli/top_command.h"

namespace taskmem {

struct PsRequest {
  bool as_json = false;
  bool of_dead = false;  // of processes that were killed
  bool forgets = false;  // removes their books
};

struct StatsRequest {
  pid_t pid = 0;
  bool as_json = false;
  std::string output_file;  // empty: standard output
};

using Request =
    std::variant<RunRequest, PsRequest, StatsRequest, AuditRequest, TopRequest, SetRequest,
                 DoctorRequest, MetricsRequest, RecordRequest, ReportRequest, SimulateRequest>;

// Prints help or the version, or complains in one line, and ends the process
// where there is nothing else to do.
Request ParseCommandLine(int argc, char** argv);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_COMMAND_LINE_H_
