// A task by its number.
#ifndef TASKMEM_TOOLS_BASE_TASK_ID_H_
#define TASKMEM_TOOLS_BASE_TASK_ID_H_

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shim/books/task_text.h"
#include "shim/taskmem.h"

namespace taskmem {

// One that stands for a process or a thread shows whose it is: "tid 4711".
inline std::string TaskIdText(uint64_t id) {
  char text[32];
  FormatTaskNumber(text, sizeof(text), id, "");
  return text;
}

// The same read: "4711", "tid 4711", "tid:4711". Nothing where it is neither, or stands for no
// task.
inline std::optional<uint64_t> ParseTaskId(std::string_view text) {
  const bool is_implicit = text.starts_with("tid");
  if (is_implicit) {
    text.remove_prefix(3);
    if (text.starts_with(' ') || text.starts_with(':')) text.remove_prefix(1);
  }
  uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  if (is_implicit) {
    return id >> 32 == 0 ? std::optional(TASKMEM_IMPLICIT_TASK + id) : std::nullopt;
  }
  return id < TASKMEM_ENDED_TASKS ? std::optional(id) : std::nullopt;
}

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_TASK_ID_H_
