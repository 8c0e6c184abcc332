// A task by its number.
#ifndef TASKMEM_TOOLS_BASE_TASK_ID_H_
#define TASKMEM_TOOLS_BASE_TASK_ID_H_

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "shim/taskmem.h"

namespace taskmem {

// One that stands for a process or a thread shows whose it is: "tid 4711".
inline std::string TaskIdText(uint64_t id) {
  const uint64_t implicit = id - TASKMEM_IMPLICIT_TASK;
  return implicit >> 32 == 0 ? fmt::format("tid {}", implicit) : fmt::to_string(id);
}

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_TASK_ID_H_
