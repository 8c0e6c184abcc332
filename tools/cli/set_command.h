// `taskmem set`: what a running process may be asked to change.
#ifndef TASKMEM_TOOLS_CLI_SET_COMMAND_H_
#define TASKMEM_TOOLS_CLI_SET_COMMAND_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace taskmem {

// As they were written.
struct SetRequest {
  pid_t pid = 0;
  std::string task;
  std::string quota;
  std::string memory;
  std::vector<std::string> spill;  // the task, and how much
  std::string at_limit;
  std::string wait;
};

// Returns the exit status: 0 where everything was done.
int SetCommand(const SetRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_SET_COMMAND_H_
