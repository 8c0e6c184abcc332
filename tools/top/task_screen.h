// One task of `taskmem top`, alone: all that its books say, and what an audit found.
#ifndef TASKMEM_TOOLS_TOP_TASK_SCREEN_H_
#define TASKMEM_TOOLS_TOP_TASK_SCREEN_H_

#include <vector>

#include "tools/top/top_model.h"
#include "tools/top/top_view.h"

namespace taskmem {

// Of the selected task.
std::vector<ScreenLine> DrawTask(const TopModel& model, const TopView& view, size_t columns);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_TOP_TASK_SCREEN_H_
