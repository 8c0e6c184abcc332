// `taskmem record`: records a process that runs.
#ifndef TASKMEM_TOOLS_CLI_RECORD_COMMAND_H_
#define TASKMEM_TOOLS_CLI_RECORD_COMMAND_H_

#include <sys/types.h>

#include <string>

namespace taskmem {

struct RecordRequest {
  pid_t pid = 0;
  std::string file;      // empty: a name made of the pid
  std::string duration;  // empty: until the process ends
};

// Returns when the process has ended, or the command is asked to end, by a signal. Ends the
// process with one line where that cannot be done.
int RecordCommand(const RecordRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_RECORD_COMMAND_H_
