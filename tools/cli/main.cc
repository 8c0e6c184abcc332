// The command `taskmem`.

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "shim/options/options.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/base/text_table.h"
#include "tools/cli/audit_command.h"
#include "tools/cli/command_line.h"
#include "tools/cli/doctor_command.h"
#include "tools/cli/environment_options.h"
#include "tools/cli/metrics_command.h"
#include "tools/cli/record_command.h"
#include "tools/cli/report_command.h"
#include "tools/cli/run_command.h"
#include "tools/cli/set_command.h"
#include "tools/cli/simulate_command.h"
#include "tools/cli/top_command.h"
#include "tools/stats/exit_stats.h"
#include "tools/stats/left_overs.h"
#include "tools/stats/report.h"
#include "tools/stats/residency_looks.h"
#include "tools/stats/stats_dirs.h"
#include "tools/stats/stats_files.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {
namespace {

// What is in the user's stats folders, which are tidied on the way.
struct Found {
  std::vector<ProcessStats> live;
  std::vector<StatsFile> left_over;  // by processes that were killed
};

// `looks`, if any: live processes are looked at.
Found FindProcesses(ResidencyLooks* looks) {
  const Options options = OptionsOfReaderOrFail();
  std::vector<StatsFile> files = ReadStatsDirs(ReadableStatsDirs(options), looks);
  Found found;
  for (StatsFile& file : files) {
    if (!IsLeftOver(file)) continue;
    if (!file.process.has_exited) file.process.end = "killed";
    // Where it must stay, so do the books.
    if (!WriteExitStats(file)) file.is_kept = true;
  }
  TidyLeftOvers(files);
  for (StatsFile& file : files) {
    if (IsLeftOver(file)) {
      found.left_over.push_back(std::move(file));
    } else if (file.process.is_alive && !file.process.has_left) {
      found.live.push_back(file.process);
    }
  }
  return found;
}

void Print(const std::vector<ProcessStats>& processes, bool as_json) {
  PrintOrFail(as_json ? FormatProcessListJson(processes)
                      : FormatProcessList(processes, TerminalColumns(STDOUT_FILENO)));
}

void Print(const ProcessStats& process, bool as_json) {
  PrintOrFail(as_json ? FormatJson(process, {})
                      : FormatTables({process}, PoolLines::kAll, TerminalColumns(STDOUT_FILENO)));
}

void Give(const ProcessStats& process, const StatsRequest& request) {
  if (request.output_file.empty()) return Print(process, request.as_json);
  const std::string text = request.as_json
                               ? FormatJson(process, {})
                               : FormatTables({process}, PoolLines::kAll, TerminalColumns(-1));
  WriteOutputFileOrFail(request.output_file, text);
}

int Execute(const RunRequest& request) { RunCommand(request); }

int Execute(const AuditRequest& request) { return AuditCommand(request); }

int Execute(const TopRequest& request) { return TopCommand(request); }

int Execute(const DoctorRequest& request) { return DoctorCommand(request); }

int Execute(const MetricsRequest& request) { return MetricsCommand(request); }

int Execute(const SetRequest& request) { return SetCommand(request); }

int Execute(const RecordRequest& request) { return RecordCommand(request); }

int Execute(const ReportRequest& request) { return ReportCommand(request); }

int Execute(const SimulateRequest& request) { return SimulateCommand(request); }

int Execute(const PsRequest& request) {
  ResidencyLooks looks(kTimeOfOneLook);
  Found found = FindProcesses(request.of_dead ? nullptr : &looks);
  if (!request.of_dead) {
    Print(found.live, request.as_json);
    if (const size_t count = found.left_over.size(); count != 0 && !request.as_json) {
      Say("{} process{} that {} killed left books: taskmem ps --dead", count,
          count == 1 ? "" : "es", count == 1 ? "was" : "were");
    }
    return EXIT_SUCCESS;
  }
  std::vector<ProcessStats> dead;
  for (StatsFile& file : found.left_over) dead.push_back(std::move(file.process));
  Print(dead, request.as_json);
  if (request.forgets) {
    for (const StatsFile& file : found.left_over) unlink(file.path.c_str());
  }
  return EXIT_SUCCESS;
}

int Execute(const StatsRequest& request) {
  ResidencyLooks looks(kTimeOfOneLook,
                       [&](const ProcessStats& process) { return process.pid == request.pid; });
  Found found = FindProcesses(&looks);
  for (const ProcessStats& process : found.live) {
    if (process.pid != request.pid) continue;
    Give(process, request);
    return EXIT_SUCCESS;
  }
  if (const auto process = ReadStatsElsewhere(request.pid, &looks)) {
    Give(*process, request);
    return EXIT_SUCCESS;
  }
  for (const StatsFile& file : found.left_over) {
    if (file.process.pid != request.pid) continue;
    Give(file.process, request);
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
