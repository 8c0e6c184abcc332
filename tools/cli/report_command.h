// `taskmem report`: what a recording has to say.
#ifndef TASKMEM_TOOLS_CLI_REPORT_COMMAND_H_
#define TASKMEM_TOOLS_CLI_REPORT_COMMAND_H_

#include <string>

#include "tools/recording/recording.h"

namespace taskmem {

struct ReportRequest {
  std::string file;
  bool as_text = false;
  bool as_json = false;
  std::string output_file;  // empty: standard output; of the page a name made of the recording's
  std::string at;           // the moment of profiles; empty: the peak
  std::string collapsed_file;
  std::string pprof_file;
  std::string speedscope_file;
};

// Ends the process with one line where it is no recording; says in one where it is cut or damaged.
Recording ReadRecordingOrFail(const std::string& file);

int ReportCommand(const ReportRequest& request);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_REPORT_COMMAND_H_
