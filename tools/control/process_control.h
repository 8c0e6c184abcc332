// Asks a running process to change something, by its stats segment
// (accounting/audit/process_request.h): its user or root may. The process carries it out itself,
// when one of its threads comes by.
#ifndef TASKMEM_TOOLS_CONTROL_PROCESS_CONTROL_H_
#define TASKMEM_TOOLS_CONTROL_PROCESS_CONTROL_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "accounting/audit/process_request.h"

namespace taskmem {

struct Change {
  ChangeKind kind = ChangeKind::kTaskQuota;
  uint64_t task = 0;
  uint64_t bytes = 0;  // as process_request.h says of the kind
};

enum class ChangeOutcome {
  kDone,
  kRefused,      // `error` says why; nothing was changed
  kNotAnswered,  // in time, and it will not be done
  kUnderWay,     // begun, and not ended in time: it goes on
  kBusy,         // with what others asked for, all the time
  kGone,         // the process has ended, or its books are damaged
};

struct ChangeResult {
  ChangeOutcome outcome = ChangeOutcome::kGone;
  int error = 0;        // as process_request.h says
  uint64_t before = 0;  // the value that was in force; of a spill what the task held
  uint64_t held = 0;    // by the task now; of --memory what is taken of it
};

inline constexpr int64_t kAnswerNs = 1'000'000'000;

class ProcessControl {
 public:
  // The books of a live process, in `stats_dirs` or wherever it has mapped them. nullptr: it has
  // none, or they may not be written; `error` is a line about that.
  static std::unique_ptr<ProcessControl> Open(const std::vector<std::string>& stats_dirs, pid_t pid,
                                              std::string* error);
  ~ProcessControl();
  ProcessControl(const ProcessControl&) = delete;
  ProcessControl& operator=(const ProcessControl&) = delete;

  // Waits until the process has answered, at most so long.
  ChangeResult Ask(const Change& change, int64_t timeout_ns = kAnswerNs);

 private:
  ProcessControl(int fd, void* mapped, pid_t pid, uint64_t start_time)
      : fd_(fd), mapped_(mapped), pid_(pid), start_time_(start_time) {}

  ChangeResult AskLocked(const Change& change, int64_t deadline_ns);

  const int fd_;
  void* const mapped_;  // the header
  const pid_t pid_;
  const uint64_t start_time_;
};

// The change and what came of it, in a line: "task 7: quota 64.0 MiB, was none; holds 20.0 MiB".
std::string DescribeChange(const Change& change, const ChangeResult& result, pid_t pid);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CONTROL_PROCESS_CONTROL_H_
