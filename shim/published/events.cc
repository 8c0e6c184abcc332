#include "shim/published/events.h"

#include "shim/base/os.h"

namespace taskmem {

void WriteEvent(EventKind kind, uint32_t slot, uint64_t task_id, uint64_t bytes, uint64_t held,
                uint64_t limit_or_ns, uint32_t flags) {
  const uint64_t now = os::MonotonicNs();
  const uint64_t until = g_stats->record_until_ns.load(std::memory_order_relaxed);
  if (now >= until) return TurnEventsOff(until);
  Event event = {};
  event.time_ns = now;
  event.kind = kind;
  event.slot = slot;
  event.flags = flags;
  event.task_id = task_id;
  event.bytes = bytes;
  event.held = held;
  event.limit = limit_or_ns;
  g_events->Write(event);
}

}  // namespace taskmem
