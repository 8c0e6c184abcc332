// Tables and lines for people, as wide as their terminal and no wider.
#ifndef TASKMEM_TOOLS_BASE_TEXT_TABLE_H_
#define TASKMEM_TOOLS_BASE_TEXT_TABLE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace taskmem {

// What fits everywhere: where there is no terminal, or a narrower one.
inline constexpr size_t kLeastColumns = 80;

// Of the terminal behind the descriptor.
size_t TerminalColumns(int fd);

// As Printable, but what is too long lacks its middle: names that are alike often differ at
// their ends.
std::string Shortened(std::string_view text, size_t columns);

enum class Align { kLeft, kRight };

struct Column {
  std::string heading;
  Align align = Align::kRight;
  bool may_be_dropped = false;  // where no cell of it says anything: all are "-"
  bool may_be_shortened = false;
};

// A heading and the rows, each column as wide as its widest cell, two spaces before each. Where a
// row would be wider than `width`, the cells that may be shortened are.
std::string FormatTable(const std::vector<Column>& columns,
                        const std::vector<std::vector<std::string>>& rows, size_t width);

enum class Breaks {
  kAtSpaces,
  kAfterMarks,  // a comma or semicolon, where that does not leave half of the line empty
};

// The text in lines of at most `columns`; each but the first begins with `indent` spaces. A word
// that is longer stays whole.
std::string Wrapped(std::string_view text, size_t columns, size_t indent, Breaks breaks);

// A line of a report and its newline. What does not fit is indented below.
std::string ReportLine(std::string_view text, size_t columns);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_TEXT_TABLE_H_
