#include "tools/base/units.h"

#include <fmt/format.h>

#include <cstdint>

#include "accounting/base/size_text.h"

namespace taskmem {

std::string HumanBytes(uint64_t bytes) { return OwnSizeText(bytes).c_str(); }

namespace {

// The bytes of the character at the front of `text`, which is not empty, and what it is. 0: they
// are no UTF-8.
size_t TakeCharacter(std::string_view text, uint32_t* character) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  if (byte(0) < 0x80) {
    *character = byte(0);
    return 1;
  }
  const size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < bytes) return 0;
  uint32_t value = byte(0) & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0x80, 0x800, 0x10000};
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kLeast[bytes - 2] || value > 0x10ffff || is_surrogate) return 0;
  *character = value;
  return bytes;
}

// What would move a terminal's cursor, colour it, or turn the direction of what follows.
bool IsControl(uint32_t character) {
  return character < 0x20 || (character >= 0x7f && character <= 0x9f) ||
         (character >= 0x2028 && character <= 0x202e) ||
         (character >= 0x2066 && character <= 0x2069) || character == 0x200e || character == 0x200f;
}

}  // namespace

std::string BytesOrDash(uint64_t bytes) { return bytes == 0 ? "-" : HumanBytes(bytes); }

std::string CountOrDash(uint64_t count) { return count == 0 ? "-" : fmt::to_string(count); }

std::string Printable(std::string_view text, size_t columns) {
  std::string result;
  size_t used = 0;
  size_t last_start = 0;  // of the last character that fits beside an ellipsis
  while (!text.empty()) {
    if (used == columns) return result.substr(0, last_start) + "…";
    if (used + 1 == columns) last_start = result.size();
    ++used;
    uint32_t character = 0;
    const size_t bytes = TakeCharacter(text, &character);
    if (bytes == 0 || IsControl(character)) {
      result += '?';
    } else {
      result += text.substr(0, bytes);
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return result;
}

}  // namespace taskmem
