// `taskmem run`: starts a program under the preload library and reports what
// it and the processes it started held.
#ifndef TASKMEM_TOOLS_CLI_RUN_COMMAND_H_
#define TASKMEM_TOOLS_CLI_RUN_COMMAND_H_

#include <map>
#include <string>
#include <vector>

namespace taskmem {

struct RunRequest {
  std::vector<std::string> program;            // with its arguments; not empty
  std::map<std::string, std::string> options;  // flags given: name to value
  bool quiet = false;                          // no table
  std::string json_file;                       // empty: no JSON
  std::string audit_file;                      // empty: no audit; "-": a table
  std::string record_file;                     // empty: no recording
};

// Ends this process as the program ended, or with 2 where what was asked for
// cannot be done, 126 or 127 where the program cannot be executed.
[[noreturn]] void RunCommand(const RunRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_RUN_COMMAND_H_
