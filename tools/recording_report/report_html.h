// A recording as one page of HTML that needs nothing else: no network, no other file.
#ifndef TASKMEM_TOOLS_RECORDING_REPORT_REPORT_HTML_H_
#define TASKMEM_TOOLS_RECORDING_REPORT_REPORT_HTML_H_

#include <string>

#include "tools/recording/recording.h"

namespace taskmem {

// Whether the libraries that draw were there when this was built (tools/fetch_npm).
bool HasPageLibraries();

// Where there is more than a page can show, moments are left out, never the peak.
std::string FormatPage(const Recording& recording);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_REPORT_HTML_H_
