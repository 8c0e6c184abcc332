// Events for who records this process (accounting/audit/event_ring.h). Called on slow paths only;
// costs a load where nobody records. Callable from anywhere; the caller writes to its own books.
#ifndef TASKMEM_SHIM_PUBLISHED_EVENTS_H_
#define TASKMEM_SHIM_PUBLISHED_EVENTS_H_

#include "accounting/audit/event_ring.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

inline bool IsRecorded() {
  return __builtin_expect(g_stats->record_until_ns.load(std::memory_order_relaxed) != 0, 0);
}

// It goes off, as whoever has read `seen` found that passed; what a recorder has written since
// stays.
inline void TurnEventsOff(uint64_t seen) {
  g_stats->record_until_ns.compare_exchange_strong(seen, 0, std::memory_order_relaxed);
}

// `limit_or_ns`: as the kind has it.
void WriteEvent(EventKind kind, uint32_t slot, uint64_t task_id, uint64_t bytes, uint64_t held,
                uint64_t limit_or_ns, uint32_t flags);

// Of the task in `slot`.
inline void NoteEvent(EventKind kind, uint32_t slot, uint64_t bytes, uint64_t held,
                      uint64_t limit_or_ns, uint32_t flags = 0) {
  if (!IsRecorded()) return;
  WriteEvent(kind, slot, g_books[slot].task_id.load(std::memory_order_relaxed), bytes, held,
             limit_or_ns, flags);
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_EVENTS_H_
