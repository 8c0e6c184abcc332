// `taskmem top`: a live view of the tasks of one or all processes.
#ifndef TASKMEM_TOOLS_CLI_TOP_COMMAND_H_
#define TASKMEM_TOOLS_CLI_TOP_COMMAND_H_

#include <sys/types.h>

#include <optional>
#include <string>

namespace taskmem {

struct TopRequest {
  std::optional<pid_t> pid;  // nothing: all
  bool once = false;
  std::string interval;  // as it was written
  std::string sort;
  std::string filter;
};

// Returns the exit status.
int TopCommand(const TopRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_TOP_COMMAND_H_
