// Numbers as people read them.
#ifndef TASKMEM_TOOLS_UNITS_H_
#define TASKMEM_TOOLS_UNITS_H_

#include <cstdint>
#include <string>

namespace taskmem {

// "0 B", "512 B", "1.5 KiB", "64.0 MiB", ... At most ten characters.
std::string HumanBytes(uint64_t bytes);

// Cut to `columns` with an ellipsis; control characters become '?'.
std::string Printable(const std::string& text, size_t columns);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_UNITS_H_
