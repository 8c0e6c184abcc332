// Numbers as people read them.
#ifndef TASKMEM_TOOLS_BASE_UNITS_H_
#define TASKMEM_TOOLS_BASE_UNITS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace taskmem {

// "0 B", "512 B", "1.5 KiB", "64.0 MiB", ... At most ten characters.
std::string HumanBytes(uint64_t bytes);

// In tables: what is nothing is "-".
std::string BytesOrDash(uint64_t bytes);
std::string CountOrDash(uint64_t count);

// Cut to `columns` with an ellipsis. Control characters, those above ASCII too, and bytes that are
// no UTF-8 become '?': names are whatever a program chose.
std::string Printable(std::string_view text, size_t columns = SIZE_MAX);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_UNITS_H_
