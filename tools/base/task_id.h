// A task by its number.
#ifndef TASKMEM_TOOLS_BASE_TASK_ID_H_
#define TASKMEM_TOOLS_BASE_TASK_ID_H_

#include <cstdint>
#include <string>

#include "shim/books/task_text.h"

namespace taskmem {

// One that stands for a process or a thread shows whose it is: "tid 4711".
inline std::string TaskIdText(uint64_t id) {
  char text[32];
  FormatTaskNumber(text, sizeof(text), id, "");
  return text;
}

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_TASK_ID_H_
