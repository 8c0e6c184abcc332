#include "tools/base/cells.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace taskmem {
namespace {

constexpr uint32_t kEllipsis = 0x2026;

struct Character {
  std::string_view bytes;
  uint32_t number;
};

// What is no UTF-8 is taken byte by byte.
Character First(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const size_t bytes = byte(0) < 0xc0 ? 1 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
  if (bytes == 1 || bytes > text.size()) return {text.substr(0, 1), byte(0)};
  uint32_t number = byte(0) & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) number = number << 6 | (byte(i) & 0x3f);
  return {text.substr(0, bytes), number};
}

size_t WidthOf(uint32_t character) {
  constexpr std::pair<uint32_t, uint32_t> kWide[] = {
      {0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},  {0xfe30, 0xfe6f},
      {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
  for (const auto& [from, to] : kWide) {
    if (character >= from && character <= to) return 2;
  }
  return 1;
}

std::vector<Character> CharactersOf(std::string_view text) {
  std::vector<Character> characters;
  while (!text.empty()) {
    characters.push_back(First(text));
    text.remove_prefix(characters.back().bytes.size());
  }
  return characters;
}

}  // namespace

size_t CellsOf(std::string_view text) {
  size_t cells = 0;
  for (const Character& character : CharactersOf(text)) cells += WidthOf(character.number);
  return cells;
}

std::string_view FrontOfCells(std::string_view text, size_t columns) {
  size_t bytes = 0;
  size_t used = 0;
  for (const Character& character : CharactersOf(text)) {
    used += WidthOf(character.number);
    if (used > columns) break;
    bytes += character.bytes.size();
  }
  return text.substr(0, bytes);
}

std::string CutToCells(std::string_view text, size_t columns) {
  if (CellsOf(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  const std::vector<Character> characters = CharactersOf(text);
  const size_t front_cells = (columns - 1) / 2;
  const size_t back_cells = columns - 1 - front_cells;
  size_t back_bytes = 0;
  size_t used = 0;
  for (auto at = characters.rbegin(); at != characters.rend(); ++at) {
    used += WidthOf(at->number);
    if (used > back_cells) break;
    back_bytes += at->bytes.size();
  }
  return std::string(FrontOfCells(text, front_cells)) + "…" +
         std::string(text.substr(text.size() - back_bytes));
}

std::string LeftInCells(std::string_view text, size_t columns) {
  const std::string cut = CutToCells(text, columns);
  return cut + std::string(columns - std::min(columns, CellsOf(cut)), ' ');
}

std::string RightInCells(std::string_view text, size_t columns) {
  return std::string(columns - std::min(columns, CellsOf(text)), ' ') + std::string(text);
}

std::string AsciiOf(std::string_view text) {
  std::string result;
  for (const Character& character : CharactersOf(text)) {
    if (character.number < 0x80) {
      result += character.bytes;
    } else {
      result += character.number == kEllipsis ? '~' : '?';
    }
  }
  return result;
}

}  // namespace taskmem
