// `taskmem doctor`: says beforehand what will work.
#ifndef TASKMEM_TOOLS_CLI_DOCTOR_COMMAND_H_
#define TASKMEM_TOOLS_CLI_DOCTOR_COMMAND_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace taskmem {

struct DoctorRequest {
  std::optional<pid_t> pid;
  std::vector<std::string> program;  // and its arguments; empty: none
  bool has_mark = false;             // a program was to follow
};

// Returns the exit status: 0 where all works, 1 where something is not seen or does not hold, 3
// where nothing is enforced.
int DoctorCommand(const DoctorRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_DOCTOR_COMMAND_H_
