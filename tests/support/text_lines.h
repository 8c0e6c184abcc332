// Text that a command printed, line by line.
#ifndef TASKMEM_TESTS_SUPPORT_TEXT_LINES_H_
#define TASKMEM_TESTS_SUPPORT_TEXT_LINES_H_

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace taskmem::test {

inline std::vector<std::string> Lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// On the screen: bytes that continue a character take no column.
inline size_t ScreenColumns(const std::string& line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_TEXT_LINES_H_
