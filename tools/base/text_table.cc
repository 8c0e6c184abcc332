#include "tools/base/text_table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "tools/base/cells.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

// Between columns; one where the table would be too wide.
constexpr size_t kGap = 2;
// A shortened name still says something.
constexpr size_t kLeastNameColumns = 12;

using Row = std::vector<std::string>;

std::vector<size_t> Widths(const std::vector<Column>& columns, const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns.size(); ++i) {
    size_t width = CellsOf(columns[i].heading);
    bool is_empty = columns[i].may_be_dropped;
    for (const Row& row : rows) {
      width = std::max(width, CellsOf(Printable(row[i])));
      is_empty = is_empty && (row[i].empty() || row[i] == "-");
    }
    widths.push_back(is_empty ? 0 : width);
  }
  return widths;
}

// The columns that may be shortened share what room there is, the widest gives first. False: they
// do not fit.
bool Fit(const std::vector<Column>& columns, size_t width, size_t gap,
         std::vector<size_t>* widths) {
  size_t sum = 0;
  for (const size_t each : *widths) sum += each == 0 ? 0 : each + gap;
  while (sum > width) {
    size_t widest = columns.size();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!columns[i].may_be_shortened || (*widths)[i] <= kLeastNameColumns) continue;
      if (widest == columns.size() || (*widths)[i] > (*widths)[widest]) widest = i;
    }
    if (widest == columns.size()) return false;
    --(*widths)[widest];
    --sum;
  }
  return true;
}

}  // namespace

size_t TerminalColumns(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return kLeastColumns;
  return std::max<size_t>(size.ws_col, kLeastColumns);
}

std::string Shortened(std::string_view text, size_t columns) {
  return CutToCells(Printable(text), columns);
}

std::string FormatTable(const std::vector<Column>& columns, const std::vector<Row>& rows,
                        size_t width) {
  std::vector<size_t> widths = Widths(columns, rows);
  const size_t gap = Fit(columns, width, kGap, &widths) ? kGap : 1;
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (widths[i] == 0) continue;
      const std::string shown = Shortened(cell(i), widths[i]);
      text += std::string(gap, ' ');
      text += columns[i].align == Align::kLeft ? LeftInCells(shown, widths[i])
                                               : RightInCells(shown, widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string text = line([&](size_t i) { return columns[i].heading; });
  for (const Row& row : rows) text += line([&](size_t i) { return row[i]; });
  return text;
}

std::string Wrapped(std::string_view text, size_t columns, size_t indent, Breaks breaks) {
  std::string result;
  size_t room = columns;
  while (CellsOf(text) > room) {
    const std::string_view line = FrontOfCells(text, room + 1);
    size_t end = line.find_last_of(' ');
    if (breaks == Breaks::kAfterMarks) {
      size_t mark = 0;
      for (const std::string_view each : {"; ", ", "}) {
        const size_t at = line.rfind(each);
        if (at != line.npos) mark = std::max(mark, at + 1);
      }
      if (mark > line.size() / 2) end = mark;
    }
    if (end == line.npos || end == 0) end = text.find(' ', line.size());
    if (end == text.npos) break;
    result += text.substr(0, end);
    result += "\n" + std::string(indent, ' ');
    text.remove_prefix(end + 1);
    room = columns - indent;
  }
  return result + std::string(text);
}

std::string ReportLine(std::string_view text, size_t columns) {
  constexpr size_t kIndent = 4;
  return Wrapped(text, columns, kIndent, Breaks::kAfterMarks) + "\n";
}

}  // namespace taskmem
