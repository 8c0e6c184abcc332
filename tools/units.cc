#include "tools/units.h"

#include <fmt/format.h>

namespace taskmem {

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // What would be rounded to 1024.0 belongs to the next unit.
  while (value >= 1023.95) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string Printable(const std::string& text, size_t columns) {
  std::string result;
  size_t used = 0;
  size_t last_start = 0;  // of the last character that fits beside an ellipsis
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    if (!continues) {
      if (used == columns) return result.substr(0, last_start) + "…";
      if (used + 1 == columns) last_start = result.size();
      ++used;
    }
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    result += is_control ? '?' : c;
  }
  return result;
}

}  // namespace taskmem
