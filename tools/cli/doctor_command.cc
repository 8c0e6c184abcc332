#include "tools/cli/doctor_command.h"

#include <unistd.h>

#include <cstdlib>

#include "shim/options/options.h"
#include "tools/base/interposable.h"
#include "tools/base/message.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/cli/environment_options.h"
#include "tools/doctor/doctor.h"

namespace taskmem {
namespace {

constexpr int kExitNothingEnforced = 3;

int StatusOf(Severity severity) {
  switch (severity) {
    case Severity::kOk:
    case Severity::kNote: return EXIT_SUCCESS;
    case Severity::kWarning: return EXIT_FAILURE;
    case Severity::kFailure: return kExitNothingEnforced;
  }
  return EXIT_FAILURE;
}

}  // namespace

int DoctorCommand(const DoctorRequest& request) {
  if (request.has_mark && request.program.empty()) {
    Fatal(kExitUsage, "no program given: taskmem doctor -- PROGRAM");
  }
  if (request.pid && *request.pid <= 0) {
    Fatal(kExitUsage, "bad value '{}' for PID: expected a process", *request.pid);
  }
  if (request.pid && request.has_mark) {
    Fatal(kExitUsage, "a process or a program, not both: taskmem doctor [PID | -- PROGRAM]");
  }
  const Options options = OptionsOfEnvironmentOrFail();
  Findings findings;
  if (!request.program.empty()) CheckProgram(FindProgramOrFail(request.program.front()), &findings);
  if (request.pid && !CheckProcess(*request.pid, options, &findings)) {
    Fatal(EXIT_FAILURE, "no process {}", *request.pid);
  }
  // A process has what it has.
  if (!request.pid) CheckHost(options, &findings);
  PrintOrFail(FormatFindings(findings, TerminalColumns(STDOUT_FILENO)));
  return StatusOf(WorstOf(findings));
}

}  // namespace taskmem
