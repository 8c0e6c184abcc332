// How `taskmem top` looks: lines of text and their styles, for a terminal of any size from 80x24
// on, or for paper. Names that processes chose are printable when they come out of here.
#ifndef TASKMEM_TOOLS_TOP_TOP_SCREEN_H_
#define TASKMEM_TOOLS_TOP_TOP_SCREEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tools/top/top_model.h"
#include "tools/top/top_view.h"

namespace taskmem {

// How many rows of tasks there are on a screen.
size_t RowsOnScreen(ScreenSize size);

// Of the selected task's lines, where it alone is looked at: the first of the last page.
size_t LastTaskPage(const TopModel& model, const TopView& view, ScreenSize size);

// At most size.lines lines, each of at most size.columns columns.
std::vector<ScreenLine> DrawTop(const TopModel& model, const TopView& view, ScreenSize size);

// Without styles, and without blanks at the ends of lines.
std::string PlainText(const std::vector<ScreenLine>& lines);

// "0", "512", "1.5K", "64.0M": at most six characters.
std::string ShortBytes(uint64_t bytes);

// Eighths of the largest, the newest at the end, at most `columns` of them; of ASCII where the
// terminal has no more.
std::string Sparkline(const std::vector<uint64_t>& values, size_t columns, bool is_utf8);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_TOP_TOP_SCREEN_H_
