#include "tools/cli/report_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "shim/options/value_text.h"
#include "tools/audit_report/audit_report.h"
#include "tools/base/json_document.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/recording/recording.h"
#include "tools/recording_report/recording_report.h"
#include "tools/recording_report/report_html.h"

namespace taskmem {
namespace {

// -1: none was given.
int64_t MomentUs(const std::string& text) {
  if (text.empty()) return -1;
  int64_t ns = 0;
  if (!ParseDuration(text.c_str(), &ns) || ns < 0) {
    Fatal(kExitUsage,
          "bad value '{}' for --at: expected a time since the recording began, like 10s",
          Printable(text, 40));
  }
  return ns / 1000;
}

void WriteProfiles(const ReportRequest& request, const Recording& recording, int64_t us) {
  const SitesAsAudit sites =
      AsAudit(recording, RecordedSymbols(recording), LiveSites(recording, us));
  if (!request.collapsed_file.empty()) {
    WriteOutputFileOrFail(request.collapsed_file, FormatCollapsed(sites.sites));
  }
  if (!request.pprof_file.empty()) {
    WriteOutputFileOrFail(request.pprof_file, FormatPprof(sites.audit, sites.sites));
  }
  if (!request.speedscope_file.empty()) {
    WriteOutputFileOrFail(request.speedscope_file, FormatSpeedscope(recording, sites));
  }
}

void GivePage(const ReportRequest& request, const Recording& recording) {
  if (!HasPageLibraries()) {
    Fatal(EXIT_FAILURE,
          "this build has no page, as no npm registry was reached: use --text, --json or profiles");
  }
  const std::string file =
      request.output_file.empty() ? request.file + ".html" : request.output_file;
  WriteOutputFileOrFail(file, FormatPage(recording));
  Say("{} shows {} of {}", file, TimeText(recording.end_us), Printable(recording.Name()));
}

}  // namespace

Recording ReadRecordingOrFail(const std::string& file) {
  std::string error;
  auto recording = ReadRecording(file, &error);
  if (!recording) Fatal(EXIT_FAILURE, "cannot read {}: {}", file, error);
  if (!recording->damage.empty()) {
    Say("{}: {}; what is before is {} of the recording", file, recording->damage,
        TimeText(recording->end_us));
  }
  return *std::move(recording);
}

int ReportCommand(const ReportRequest& request) {
  if (request.as_text && request.as_json) Fatal(kExitUsage, "--text and --json exclude each other");
  for (const std::string* file : {&request.output_file, &request.collapsed_file,
                                  &request.pprof_file, &request.speedscope_file}) {
    CheckOutputFileOrFail(*file, request.file);
  }
  const int64_t moment = MomentUs(request.at);
  const Recording recording = ReadRecordingOrFail(request.file);
  if (moment > recording.end_us) {
    Fatal(kExitUsage, "bad value '{}' for --at: the recording ends after {}", request.at,
          TimeText(recording.end_us));
  }
  const bool has_profile = !request.collapsed_file.empty() || !request.pprof_file.empty() ||
                           !request.speedscope_file.empty();
  if (has_profile) WriteProfiles(request, recording, moment >= 0 ? moment : recording.peak_us);
  if (!request.as_text && !request.as_json) {
    if (!has_profile || !request.output_file.empty()) GivePage(request, recording);
    return EXIT_SUCCESS;
  }
  const std::string& file = request.output_file;
  const size_t columns = file.empty() ? TerminalColumns(STDOUT_FILENO) : TerminalColumns(-1);
  WritePiecesOrFail(file, [&](const TextSink& write) {
    if (request.as_json) return WriteRecordingJson(recording, write);
    write(FormatRecording(recording, columns));
  });
  return EXIT_SUCCESS;
}

}  // namespace taskmem
