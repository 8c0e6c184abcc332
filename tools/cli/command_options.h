// Options of the commands that look at or change what runs, and how all help looks.
#ifndef TASKMEM_TOOLS_CLI_COMMAND_OPTIONS_H_
#define TASKMEM_TOOLS_CLI_COMMAND_OPTIONS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "tools/cli/doctor_command.h"
#include "tools/cli/metrics_command.h"
#include "tools/cli/set_command.h"
#include "tools/cli/top_command.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace taskmem {

// With this usage line, and --help.
void SetHelp(CLI::App* app, const char* usage);

// A sentence of help, as narrow as it must be.
std::string Sentence(std::string_view text);

// The process that a command is about: what is no number ends the command, with a line.
CLI::Option* AddPid(CLI::App* command, pid_t* pid, const char* sentence);
CLI::Option* AddPid(CLI::App* command, std::optional<pid_t>* pid, const char* sentence);

// Each adds a command, whose options are stored in the request.
void AddTop(CLI::App* app, TopRequest* request);
void AddSet(CLI::App* app, SetRequest* request);
void AddDoctor(CLI::App* app, DoctorRequest* request);
void AddMetrics(CLI::App* app, MetricsRequest* request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_COMMAND_OPTIONS_H_
