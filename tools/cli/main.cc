// The command `taskmem`.

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "shim/options/options.h"
#include "tools/base/message.h"
#include "tools/base/text_table.h"
#include "tools/cli/audit_command.h"
#include "tools/cli/command_line.h"
#include "tools/cli/run_command.h"
#include "tools/stats/report.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {
namespace {

// The live processes of the stats folder, which is tidied on the way.
std::vector<ProcessStats> LiveProcesses() {
  Options options;
  char error[512];
  if (!ParseOptionsFromEnvironment(&options, error, sizeof(error))) {
    Fatal(kExitUsage, "{}", error);
  }
  const std::vector<StatsFile> files = ReadStatsDirs(StatsDirs(options));
  RemoveStaleFiles(files);
  std::vector<ProcessStats> processes;
  for (const StatsFile& file : files) {
    if (file.process.is_alive && !file.process.has_left) processes.push_back(file.process);
  }
  return processes;
}

int Execute(const RunRequest& request) { RunCommand(request); }

int Execute(const AuditRequest& request) { return AuditCommand(request); }

int Execute(const PsRequest& request) {
  const std::vector<ProcessStats> processes = LiveProcesses();
  PrintOrFail(request.as_json ? FormatProcessListJson(processes)
                              : FormatProcessList(processes, TerminalColumns(STDOUT_FILENO)));
  return EXIT_SUCCESS;
}

int Execute(const StatsRequest& request) {
  for (const ProcessStats& process : LiveProcesses()) {
    if (process.pid != request.pid) continue;
    PrintOrFail(request.as_json
                    ? FormatJson(process, {})
                    : FormatTables({process}, PoolLines::kAll, TerminalColumns(STDOUT_FILENO)));
    return EXIT_SUCCESS;
  }
  if (const auto process = ReadStatsElsewhere(request.pid)) {
    PrintOrFail(request.as_json
                    ? FormatJson(*process, {})
                    : FormatTables({*process}, PoolLines::kAll, TerminalColumns(STDOUT_FILENO)));
    return EXIT_SUCCESS;
  }
  Fatal(EXIT_FAILURE, "no process {} under taskmem", request.pid);
}

}  // namespace
}  // namespace taskmem

int main(int argc, char** argv) {
  taskmem::ReserveStandardStreams();
  try {
    return std::visit([](const auto& request) { return taskmem::Execute(request); },
                      taskmem::ParseCommandLine(argc, argv));
  } catch (...) {
    taskmem::SayCaught("cannot go on");
    return taskmem::kExitUsage;
  }
}
