// `taskmem simulate`: what would have happened to a recorded program under other limits.
#ifndef TASKMEM_TOOLS_CLI_SIMULATE_COMMAND_H_
#define TASKMEM_TOOLS_CLI_SIMULATE_COMMAND_H_

#include <string>

namespace taskmem {

struct SimulateRequest {
  std::string file;
  std::string quotas;    // by commas; empty: as recorded
  std::string memories;  // the same
  std::string share;     // empty: as recorded
  std::string storage_fraction;
  bool finds = false;  // the least quota with which all find room
  bool as_json = false;
  std::string output_file;  // empty: standard output
  std::string plot_file;    // empty: none
};

int SimulateCommand(const SimulateRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_SIMULATE_COMMAND_H_
