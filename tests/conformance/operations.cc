#include "tests/conformance/operations.h"

namespace taskmem::conformance {

const char* ReasonToSkip(const Trace& trace) {
  // Which of the threads that were notified runs first is not the replayer's to say.
  return trace.HasTag("late_wakes") ? "tagged late_wakes" : nullptr;
}

}  // namespace taskmem::conformance
