// The library's log as events of the step it is written in.
#ifndef TASKMEM_TESTS_CONFORMANCE_TRACE_LOG_H_
#define TASKMEM_TESTS_CONFORMANCE_TRACE_LOG_H_

#include "accounting/base/memory_log.h"

namespace taskmem::conformance {

class TraceLog final : public MemoryLog {
 public:
  // Wild traces have no log lines.
  explicit TraceLog(bool keeps_lines) : keeps_lines_(keeps_lines) {}

  void Write(LogLevel level, const char* text) override;

 private:
  const bool keeps_lines_;
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_TRACE_LOG_H_
