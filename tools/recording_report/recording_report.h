// A recording as text for people, as JSON for programs, and as profiles for other tools.
#ifndef TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_REPORT_H_
#define TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_REPORT_H_

#include <string>

#include "tools/base/output_file.h"
#include "tools/recording/recording.h"
#include "tools/recording_report/recording_sites.h"

namespace taskmem {

// What happened, the tasks, and who held what at the peak. No line is wider than `columns`.
std::string FormatRecording(const Recording& recording, size_t columns);

// All of it, as a document of the kind "recording" (tools/base/documents.schema.json), piece by
// piece: it is many times as large as what is in memory.
void WriteRecordingJson(const Recording& recording, const TextSink& write);

// Profiles of what lived at a moment. Collapsed stacks, a gzipped profile of Google's pprof
// (FormatCollapsed and FormatPprof have them of an audit), and a file of speedscope.
std::string FormatSpeedscope(const Recording& recording, const SitesAsAudit& sites);

// "1.234 s" for 1234567 us.
std::string TimeText(int64_t us);

// How the recording ended: "the process ended".
std::string EndText(const Recording& recording);

// "tid 4711 (python3)", "7 (query)", "untracked".
std::string RecordedTaskText(const RecordedTask& task);

// A key in JSON: "refusal".
const char* EventKindKey(EventKind kind);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_RECORDING_REPORT_H_
