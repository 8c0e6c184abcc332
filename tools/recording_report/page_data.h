// What the page of a report is drawn from.
#ifndef TASKMEM_TOOLS_RECORDING_REPORT_PAGE_DATA_H_
#define TASKMEM_TOOLS_RECORDING_REPORT_PAGE_DATA_H_

#include <nlohmann/json_fwd.hpp>

#include "tools/recording/recording.h"

namespace taskmem {

nlohmann::ordered_json PageData(const Recording& recording);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_REPORT_PAGE_DATA_H_
