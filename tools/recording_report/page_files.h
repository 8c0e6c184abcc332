// The files of the page, which are a part of the command: those of page/, and the libraries.
#ifndef TASKMEM_TOOLS_RECORDING_REPORT_PAGE_FILES_H_
#define TASKMEM_TOOLS_RECORDING_REPORT_PAGE_FILES_H_

#include <string_view>

namespace taskmem::page {

std::string_view Frame();  // page/report.html
std::string_view Style();
std::string_view Script();

// Empty where they could not be fetched.
std::string_view Chart();  // uPlot
std::string_view ChartStyle();
std::string_view Graphs();  // d3
std::string_view Flame();   // d3-flame-graph

}  // namespace taskmem::page

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_PAGE_FILES_H_
