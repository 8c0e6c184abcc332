// A child that stands for its parent: who signals, stops, continues or waits
// for this process does so to the child.
#ifndef TASKMEM_TOOLS_BASE_CHILD_PROCESS_H_
#define TASKMEM_TOOLS_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace taskmem {

struct ChildResult {
  int exec_errno = 0;  // not 0: the program was not executed, the rest means nothing
  pid_t pid = 0;
  uint64_t start_time = 0;
  int wait_status = 0;
  uint64_t peak_resident_bytes = 0;
};

// From now on a reader that is gone, or `ulimit -f`, does not end this process: writing fails.
// Children have these signals as they were.
void IgnoreOutputSignals();

// Executes `path` with `arguments` (the first is its name) in this process's
// environment and returns when it has ended. Meanwhile forwards every signal
// that a process sends to this one. Those the terminal sends reach the child by
// themselves.
ChildResult RunChild(const std::string& path, const std::vector<std::string>& arguments);

// Ends this process as the child ended: by the same signal, without a second
// core dump, or with the same exit status.
[[noreturn]] void EndLike(int wait_status);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_CHILD_PROCESS_H_
