#include "tests/conformance/operations.h"

#include <algorithm>
#include <set>

namespace taskmem::conformance {

bool NeedsBlockStore(std::string_view op) {
  static const std::set<std::string_view> kOperations = {
      "block_rdd",
      "clear",
      "contains",
      "downgrade",
      "evict",
      "fail_drop",
      "get_bytes",
      "get_size",
      "get_values",
      "level",
      "level_flags",
      "lock_new_wait",
      "lock_read",
      "lock_read_wait",
      "lock_write",
      "lock_write_wait",
      "native_bytes",
      "partial_close",
      "partial_discard",
      "partial_finish_writing",
      "partial_has_next",
      "partial_next",
      "partial_values_iterator",
      "put_bytes",
      "put_closeable",
      "put_iterator_bytes",
      "put_values",
      "release_all_locks",
      "release_unroll_for_task",
      "remove",
      "remove_info",
      "reserve_unroll",
      "task_start",
      "unlock",
  };
  return kOperations.contains(op);
}

const char* ReasonToSkip(const Trace& trace) {
  // Which of the threads that were notified runs first is not the replayer's to say.
  if (trace.HasTag("late_wakes")) return "tagged late_wakes";
  const bool needs_store = std::any_of(trace.steps.begin(), trace.steps.end(),
                                       [](const Step& step) { return NeedsBlockStore(step.op); });
  return needs_store ? "needs the block store" : nullptr;
}

}  // namespace taskmem::conformance
