// The events of a process (accounting/audit/event_ring.h), read from its stats file while it writes
// them. What is read is not trusted.
#ifndef TASKMEM_TOOLS_RECORDING_EVENT_SOURCE_H_
#define TASKMEM_TOOLS_RECORDING_EVENT_SOURCE_H_

#include <cstdint>
#include <vector>

#include "accounting/audit/event_ring.h"

namespace taskmem {

class EventSource {
 public:
  // A descriptor of the stats file, which outlives it. Where it may be written, events are turned
  // on: they go on for as long as they are read, and some seconds more, as others may read them.
  explicit EventSource(int fd);
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  bool is_on() const { return is_on_; }

  // Appends what has come since the last call, in order of time. What is still being written when
  // that ends is left for the next call; `is_last`: there is none, the writers are gone.
  void Read(uint64_t now_ns, bool is_last, std::vector<Event>* events);

  // Events that are lost: nobody read them in time, or they could not be written.
  uint64_t lost() const { return lost_; }

 private:
  void Renew(uint64_t now_ns);
  // Of one stretch of the ring. False: an entry has to be waited for.
  bool ReadEntries(uint64_t from, uint64_t to, uint64_t now_ns, bool is_last,
                   std::vector<Event>* events);

  const int fd_;
  bool is_on_ = false;
  uint64_t renewed_ns_ = 0;
  uint64_t next_ = 0;              // the number of the entry that is read next
  uint64_t waiting_since_ns_ = 0;  // for the entry `next_`; 0: not
  uint64_t lost_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_EVENT_SOURCE_H_
