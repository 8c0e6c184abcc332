#include "tests/conformance/trace_log.h"

#include <string_view>

#include "tests/conformance/step_run.h"

namespace taskmem::conformance {
namespace {

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "DEBUG";
    case LogLevel::kInfo: return "INFO";
    case LogLevel::kWarn: return "WARN";
    case LogLevel::kError: return "ERROR";
  }
  return "";
}

bool IsWaitLine(std::string_view text) {
  return text.starts_with("TID ") && text.find(" waiting for at least 1/2N ") != text.npos;
}

// Of the lines of this level only these were recorded.
bool IsRecordedDebugLine(std::string_view text) {
  return (text.starts_with("Block ") && text.find(" dropped from memory") != text.npos) ||
         text.starts_with("unreleased ") || text.starts_with("Unmanaged memory polling completed");
}

}  // namespace

void TraceLog::Write(LogLevel level, const char* text) {
  StepRun* const run = StepRun::Current();
  if (run == nullptr) return;
  if (IsWaitLine(text)) {
    // One step may wait several times.
    if (std::exchange(run->has_waited, true)) return;
  }
  if (!keeps_lines_ || (level == LogLevel::kDebug && !IsRecordedDebugLine(text))) return;
  run->Add({{"log", NameOf(level)}, {"msg", text}});
}

}  // namespace taskmem::conformance
