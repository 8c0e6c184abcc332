#include <fmt/format.h>

#include <algorithm>

#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/doctor/doctor.h"

namespace taskmem {
namespace {

const char* NameOf(Severity severity) {
  switch (severity) {
    case Severity::kOk: return "ok";
    case Severity::kNote: return "note";
    case Severity::kWarning: return "warning";
    case Severity::kFailure: return "FAILURE";
  }
  return "";
}

}  // namespace

Severity WorstOf(const Findings& findings) {
  Severity worst = Severity::kOk;
  for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

std::string FormatFindings(const Findings& findings, size_t columns) {
  constexpr size_t kIndent = 9;
  std::string text;
  for (const Finding& finding : findings) {
    const std::string line =
        fmt::format("{:<{}}{}", NameOf(finding.severity), kIndent, Printable(finding.what));
    text += Wrapped(line, columns, kIndent, Breaks::kAtSpaces) + "\n";
    if (finding.advice.empty()) continue;
    text += std::string(kIndent, ' ') +
            Wrapped("-> " + Printable(finding.advice), columns - kIndent, kIndent + 3,
                    Breaks::kAtSpaces) +
            "\n";
  }
  switch (WorstOf(findings)) {
    case Severity::kOk:
    case Severity::kNote: return text + "taskmem works here: all is seen, and limits hold\n";
    case Severity::kWarning: return text + "taskmem works here in part: see the warnings\n";
    case Severity::kFailure:
      return text + "taskmem does not work here: nothing would be enforced\n";
  }
  return text;
}

}  // namespace taskmem
