// Text in cells of a terminal: how wide it is, and cut to a width. The text is printable.
#ifndef TASKMEM_TOOLS_BASE_CELLS_H_
#define TASKMEM_TOOLS_BASE_CELLS_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace taskmem {

// In columns of the screen: characters of East Asia take two.
size_t CellsOf(std::string_view text);

// As much of the beginning as has room; all of it where that is enough.
std::string_view FrontOfCells(std::string_view text, size_t columns);

// What is too long lacks its middle: names that are alike often differ at their ends.
std::string CutToCells(std::string_view text, size_t columns);

// Exactly so wide, but for what is longer and stands at the right.
std::string LeftInCells(std::string_view text, size_t columns);
std::string RightInCells(std::string_view text, size_t columns);

// For a terminal that has no more: other characters become '?', and an ellipsis '~'.
std::string AsciiOf(std::string_view text);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_CELLS_H_
