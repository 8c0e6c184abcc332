// `taskmem metrics`: figures of all processes of this host, for Prometheus.
#ifndef TASKMEM_TOOLS_CLI_METRICS_COMMAND_H_
#define TASKMEM_TOOLS_CLI_METRICS_COMMAND_H_

#include <string>

namespace taskmem {

// As they were written.
struct MetricsRequest {
  std::string listen;
  std::string textfile;
  std::string interval;
  std::string names;
};

// Serves until it is asked to end, or writes the file. Returns the exit status.
int MetricsCommand(const MetricsRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_METRICS_COMMAND_H_
